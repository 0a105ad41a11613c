import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { closeNumber, resetNumber } from "../../protocol/channel/end-codes.ts";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import { FRAME, LINK, REQUEST } from "../../protocol/messages/types.ts";
import { REFUSAL_NUMBERS } from "../../protocol/refusal-codes.ts";
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

  test("lists how streams and channels end", () => {
    const resets = (["finished", "acknowledged", "refused", "unreachable", "failed", "cancelled"] as const).map(
      (code) => `| ${resetNumber(code)} ${code} |`,
    );
    const closes = (["finished", "going-away", "protocol-error", "revoked", "failed"] as const).map(
      (code) => `| ${closeNumber(code)} ${code} |`,
    );
    for (const cell of [...resets, ...closes]) expect(text).toContain(cell);
  });
});
