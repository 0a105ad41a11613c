import * as fc from "fast-check";
import { readWitnessDemand } from "../../../directory/client.ts";
import { base64 } from "../../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { parseJsonFile, printJsonFile } from "../../../keys/json-file.ts";
import { WITNESS_EVIDENCE, WITNESS_LOGS } from "../../../protocol/limits.ts";
import { openCheckpoint, signCheckpoint } from "../../../protocol/log/checkpoint.ts";
import { cosign, printWitness } from "../../../protocol/log/cosignature.ts";
import {
  claimedOrigin,
  judgeAddCheckpoint,
  parseAddCheckpoint,
  parseConflict,
  printAddCheckpoint,
  takeCosignature,
} from "../../../protocol/log/witness.ts";
import { witnessStateSchema } from "../../../rendezvous/witness/witness-state.ts";
import * as of from "../arbitraries.ts";
import { words } from "../mutation.ts";
import { bytesParser, type Parser, textParser } from "../subject.ts";

const ORIGIN = "sshnp-directory/fuzz";

const STATE = fc.record({
  v: fc.constant(1 as const),
  logs: fc.array(
    fc.record({
      directory: fc.constantFrom("", "SHA256:gUtTpu4q9CXyEi9fNEGJsCvE8Fgii5DpeHzwz4jr2ks"),
      origin: of.word(30),
      key: of.bytesOf(32).map(base64),
      checkpoint: fc.option(of.word(60)),
    }),
    { maxLength: 2 },
  ),
  evidence: fc.array(fc.record({ found: fc.nat(), notes: fc.tuple(of.word(60), of.word(60)) }), { maxLength: 2 }),
});

/** What directories and witnesses say to each other. */
export const WITNESS_PARSERS: readonly Parser[] = [
  {
    name: "request to a witness",
    covers: ["protocol/log/witness.ts#parseAddCheckpoint", "protocol/log/witness.ts#judgeAddCheckpoint"],
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(1));
      const log = { origin: ORIGIN, publicKey: key.publicKey };
      const note = (size: number) => signCheckpoint(suite, key, { origin: ORIGIN, size, root: new Uint8Array(32) });
      const latest = openCheckpoint(suite, note(3), log);
      return textParser({
        samples: fc
          .tuple(fc.nat(9), fc.array(of.bytesOf(32), { maxLength: 4 }), fc.integer({ min: 1, max: 9 }))
          .map(([oldSize, proof, size]) => printAddCheckpoint({ oldSize, proof, checkpoint: note(size) })),
        parse: parseAddCheckpoint,
        print: printAddCheckpoint,
        holds: (request) => {
          claimedOrigin(request.checkpoint);
          const verdict = judgeAddCheckpoint(suite, log, latest, request);
          return verdict.status !== 200 || (verdict.checkpoint.size === 3 && request.oldSize === 3);
        },
        words: words("old ", ORIGIN, "\n\n", "— "),
      });
    },
  },
  {
    name: "what a witness has cosigned",
    covers: ["rendezvous/witness/witness-state.ts#witnessStateSchema"],
    make: () =>
      bytesParser({
        samples: STATE.map((state) => printJsonFile(witnessStateSchema, state)),
        parse: (bytes) => parseJsonFile(witnessStateSchema, bytes),
        holds: ({ logs, evidence }) => logs.length <= WITNESS_LOGS && evidence.length <= WITNESS_EVIDENCE,
      }),
  },
  {
    name: "witnesses that are demanded",
    covers: ["directory/client/witness-demand.ts#readWitnessDemand"],
    make: ({ suite }) => {
      const keys = [1, 2, 3].map((seed) => {
        const { publicKey } = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(seed));
        return printWitness(suite, { name: `w${seed}`, publicKey });
      });
      return textParser({
        samples: fc.integer({ min: 1, max: 3 }).map((needed) => `${needed}:${keys.join(",")}`),
        parse: (text) => readWitnessDemand(suite, {}, { SSHNP_WITNESSES: text }),
        holds: ({ needed, witnesses }) =>
          needed >= 1 && needed <= new Set(witnesses.map(({ publicKey }) => publicKey.toJSON())).size,
        words: words("0:", "1:", "w1+", ",", "+"),
      });
    },
  },
  {
    name: "size that a witness has cosigned",
    covers: ["protocol/log/witness.ts#parseConflict"],
    make: () =>
      textParser({
        samples: fc.oneof(fc.nat(), fc.constantFrom(0, Number.MAX_SAFE_INTEGER)).map((size) => `${size}\n`),
        parse: (text) => ({ size: parseConflict(text) }),
        print: ({ size }) => `${size}\n`,
      }),
  },
  {
    name: "cosignatures that a witness gives",
    covers: ["protocol/log/witness.ts#takeCosignature"],
    make: ({ suite }) => {
      const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(1));
      const other = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(2));
      const text = signCheckpoint(suite, key, { origin: ORIGIN, size: 5, root: new Uint8Array(32) });
      const checkpoint = openCheckpoint(suite, text, { origin: ORIGIN, publicKey: key.publicKey });
      const witness = { name: "w1", publicKey: key.publicKey };
      return textParser({
        samples: fc
          .array(fc.tuple(fc.constantFrom("w1", "w2"), fc.constantFrom(key, other), fc.nat()), {
            minLength: 1,
            maxLength: 3,
          })
          .map((lines) => lines.map(([name, by, time]) => cosign(suite, by, name, text, time)).join("")),
        parse: (body) => takeCosignature(suite, checkpoint, body, witness),
        holds: (lines, body) => lines.length > 0 && lines.every((line) => body.includes(`${line}\n`)),
        words: words("— ", "w1", "w2", "\n"),
      });
    },
  },
];
