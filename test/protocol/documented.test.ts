import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { closeNumber, resetNumber } from "../../protocol/channel/end-codes.ts";
import { LABEL, LABEL_VERSION } from "../../protocol/label.ts";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import {
  CHECKPOINT_CACHE_SECONDS,
  DELEGATION_USES,
  LINK_NAMES_AT_ONCE,
  LOG_PROOF_BYTES,
  LOG_PROOF_SUBJECTS,
  MAP_DEPTH,
  NOTE_BYTES,
  NOTE_SIGNATURES,
  OWNER_CHAIN,
  POLICY_BYTES,
  REVOCATION_REASON_BYTES,
  TREE_PROOF_HASHES,
} from "../../protocol/limits.ts";
import { FRAME, LINK, REQUEST } from "../../protocol/messages/types.ts";
import { REFUSAL_NUMBERS } from "../../protocol/refusal-codes.ts";
import { namespaceOf, STATEMENT_KINDS } from "../../protocol/statement-fields.ts";
import { LOG_PREFIX } from "../../directory/log/routes.ts";
import { RESERVED_MEMBERS } from "../../keys/names.ts";

const text = readFileSync(join(import.meta.dirname, "../../docs/protocol.md"), "utf8");

describe("docs/protocol.md", () => {
  test.each(Object.entries({ ...REQUEST, ...LINK, ...FRAME }))("has a row for %s", (name) => {
    const numbers = [REQUEST, LINK, FRAME].flatMap((table) => Object.entries(table).filter(([key]) => key === name));
    for (const [, number] of numbers) expect(text).toContain(`| ${number} | ${name} |`);
  });

  test("lists every refusal code with its number, and no other", () => {
    const [, list = ""] = /\*\*Refusal codes:\*\*([^]*?)\.\n/.exec(text) ?? [];
    const listed = [...list.matchAll(/(\d+) `(E_[A-Z_]+)`/g)].map(([, number, code]) => [code, Number(number)]);
    expect(Object.fromEntries(listed)).toEqual(REFUSAL_NUMBERS);
  });

  test("lists every member name that is reserved", () => {
    for (const word of RESERVED_MEMBERS) expect(text).toContain(`\`${word}\``);
  });

  test("has as many leg statuses as there are", () => {
    for (const number of Object.values(LEG_STATUS)) {
      expect(/The rendezvous answers with one byte:[^]*?Early data/.exec(text)?.[0]).toMatch(
        new RegExp(`\\b${number} `),
      );
    }
  });

  test("is of the version that is spoken", () => {
    expect(text).toContain(`Version \`${LABEL}\``);
    expect(text).toContain(`LABEL is the string \`${LABEL}\``);
    expect([...text.matchAll(/\| 1 \| version, (\d+) \|/g)].map(([, version]) => Number(version))).toEqual([
      LABEL_VERSION,
      LABEL_VERSION,
    ]);
  });

  test.each(STATEMENT_KINDS)("has a row for statements of the kind %s", (kind) => {
    expect(text).toContain(`| ${kind} | \`${namespaceOf(kind)}\` |`);
  });

  test.each([
    ["an owner chain", `**Owner chain**: 1 to ${OWNER_CHAIN} signed texts`],
    ["the chain in member statements", `count (1..${OWNER_CHAIN}), then that many signed texts: the owner chain`],
    ["a policy", `at most ${POLICY_BYTES / 1024} KiB |`],
    ["a reason", `any text, at most ${REVOCATION_REASON_BYTES} B`],
    ["the uses of a delegation", `(1 to ${DELEGATION_USES.toLocaleString("en")})`],
    ["a note", `at most ${NOTE_BYTES / 1024} KiB and ${NOTE_SIGNATURES} signature lines`],
    ["a log proof", `**Log proof**, at most ${LOG_PROOF_BYTES / 1024} KiB`],
    ["its hashes", `| 1, then 32 each | count (0..${TREE_PROOF_HASHES})`],
    ["its subjects", `| 1, then each | count (0..${LOG_PROOF_SUBJECTS}) of subjects`],
    ["a map proof", `depth (0..${MAP_DEPTH})`],
    ["names on a link", `u8 count (1..${LINK_NAMES_AT_ONCE}) of names that the hello lists`],
    ["statements to be put", `u8 count (1..${LOG_PROOF_SUBJECTS}), that many statements`],
    ["the age of a checkpoint in a cache", `the checkpoint for ${CHECKPOINT_CACHE_SECONDS} s`],
  ])("has the bounds of %s as they are", (_what, words) => {
    expect(text).toContain(words);
  });

  test.each(["checkpoint", "tile/L/N", "tile/entries/N"])("has the log's route to %s", (path) => {
    expect(text).toContain(`| \`GET ${LOG_PREFIX}${path}\``);
  });

  test("refers to sections that there are", () => {
    const sections = [...text.matchAll(/^## (\d+)\. /gm)].map(([, number]) => Number(number));
    expect(sections).toEqual(sections.map((_, at) => at + 1));
    const own = text.replaceAll(/RFC \d+[^|.;]*?section [\d.]+|RFC 6962 tree \(section [\d.]+/g, "");
    for (const [, number] of own.matchAll(/section (\d+)/g)) expect(sections).toContain(Number(number));
  });

  test("lists how streams and channels end", () => {
    const resets = (
      ["finished", "acknowledged", "refused", "unreachable", "failed", "cancelled", "closed"] as const
    ).map((code) => `| ${resetNumber(code)} ${code} |`);
    const closes = (["finished", "going-away", "protocol-error", "revoked", "failed"] as const).map(
      (code) => `| ${closeNumber(code)} ${code} |`,
    );
    for (const cell of [...resets, ...closes]) expect(text).toContain(cell);
  });
});
