import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { PeerError, SecurityError } from "../../../keys/errors.ts";
import { openCheckpoint, type SignedCheckpoint, signCheckpoint } from "../../../protocol/log/checkpoint.ts";
import { cosign, withCosignatures } from "../../../protocol/log/cosignature.ts";
import {
  claimedOrigin,
  judgeAddCheckpoint,
  parseAddCheckpoint,
  parseConflict,
  printAddCheckpoint,
  takeCosignature,
} from "../../../protocol/log/witness.ts";
import { nativeSuite as suite } from "../../../protocol/suite/native.ts";
import { LogTree } from "../../rendezvous/log-tree.ts";

const ORIGIN = "sshnp-directory/test";
const logKey = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(1));
const witnessKey = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(2));
const log = { origin: ORIGIN, publicKey: logKey.publicKey };
const witness = { name: "witness.example/w1", publicKey: witnessKey.publicKey };

const SIZE = 12;
const HONEST = new LogTree({ origin: ORIGIN, key: logKey }, SIZE);
const FORKS = [0, 3, 7].map((at) => new LogTree({ origin: ORIGIN, key: logKey }, SIZE, at));

function opened(text: string): SignedCheckpoint {
  return openCheckpoint(suite, text, log);
}

describe("a request to a witness", () => {
  // The example of C2SP tlog-witness.
  const EXAMPLE = [
    "old 20852014",
    "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=",
    "jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=",
    "5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=",
    "/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=",
    "",
    "example.com/behind-the-sofa",
    "20852163",
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
    "",
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=",
    "",
  ].join("\n");

  test("is read as in the specification's example, and printed as it was read", () => {
    const request = parseAddCheckpoint(EXAMPLE);
    expect(request.oldSize).toBe(20852014);
    expect(request.proof).toHaveLength(4);
    expect(claimedOrigin(request.checkpoint)).toBe("example.com/behind-the-sofa");
    expect(printAddCheckpoint(request)).toBe(EXAMPLE);
  });

  test.each([
    ["no old size", EXAMPLE.replace("old ", "")],
    ["a size with a leading zero", EXAMPLE.replace("old 2", "old 02")],
    ["a size beyond 2^53", EXAMPLE.replace("20852014", "9007199254740992")],
    ["no empty line", EXAMPLE.replaceAll("\n\n", "\n")],
    ["a hash of 33 bytes", EXAMPLE.replace("PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=", "A".repeat(44))],
    ["no signature", EXAMPLE.slice(0, EXAMPLE.indexOf("— "))],
    ["64 hashes", EXAMPLE.replace("\n", `\n${`${"A".repeat(43)}=\n`.repeat(60)}`)],
    ["9 KB", EXAMPLE.replace("\n", "\n".padEnd(9000, "A"))],
  ])("is refused with %s", (_, text) => {
    expect(() => parseAddCheckpoint(text)).toThrow(PeerError);
  });
});

describe("a witness", () => {
  const judge = (latest: number | undefined, request: { oldSize: number; proof?: Uint8Array[]; checkpoint: string }) =>
    judgeAddCheckpoint(suite, log, latest === undefined ? undefined : opened(HONEST.checkpoint(latest)), {
      proof: [],
      ...request,
    });

  test("cosigns the first checkpoint it sees, and the same again", () => {
    expect(judge(undefined, { oldSize: 0, checkpoint: HONEST.checkpoint(5) })).toMatchObject({ status: 200 });
    expect(judge(5, { oldSize: 5, checkpoint: HONEST.checkpoint(5) })).toMatchObject({ status: 200 });
  });

  test("does not know a log of another origin, or with another key", () => {
    const root = new Uint8Array(32);
    const other = signCheckpoint(suite, logKey, { origin: "other", size: 1, root });
    const forged = signCheckpoint(suite, witnessKey, { origin: ORIGIN, size: 1, root });
    expect(judge(undefined, { oldSize: 0, checkpoint: other })).toMatchObject({ status: 404 });
    expect(judge(undefined, { oldSize: 0, checkpoint: forged })).toMatchObject({ status: 403 });
  });

  test("refuses an old size beyond the new one, and says where it is when the old size is another", () => {
    expect(judge(5, { oldSize: 5, checkpoint: HONEST.checkpoint(4) })).toMatchObject({ status: 400 });
    expect(judge(5, { oldSize: 3, checkpoint: HONEST.checkpoint(8) })).toEqual({ status: 409, size: 5 });
    expect(judge(undefined, { oldSize: 3, checkpoint: HONEST.checkpoint(8) })).toEqual({ status: 409, size: 0 });
  });

  test("refuses what is not proved, and a proof from nothing", () => {
    const checkpoint = HONEST.checkpoint(8);
    expect(judge(5, { oldSize: 5, checkpoint })).toMatchObject({ status: 422, isSigned: true });
    expect(judge(undefined, { oldSize: 0, proof: [new Uint8Array(32)], checkpoint })).toMatchObject({ status: 422 });
  });

  test("has two signed notes to show when a log has another tree of the size that it has cosigned", () => {
    const checkpoint = FORKS[1]?.checkpoint(5) ?? "";
    const evidence = [HONEST.checkpoint(5), checkpoint];
    expect(judge(5, { oldSize: 5, checkpoint })).toEqual({ status: 409, size: 5, evidence });
    expect(judge(5, { oldSize: 0, checkpoint })).toEqual({ status: 409, size: 5, evidence });
  });

  test("whatever it is asked, has at any time cosigned a history of one tree that only grows, and refuses nothing that continues it", () => {
    const trees = [HONEST, ...FORKS];
    const question = fc.record({
      tree: fc.nat(3),
      size: fc.integer({ min: 1, max: SIZE }),
      old: fc.oneof(fc.constant("latest" as const), fc.nat(SIZE)),
    });
    fc.assert(
      fc.property(fc.array(question, { maxLength: 20 }), (questions) => {
        // The model: which leaves it has cosigned last, as text.
        const leaves = (tree: number, size: number) =>
          Array.from({ length: size }, (_, i) => (i < ([SIZE, 0, 3, 7][tree] ?? 0) ? `leaf ${i}` : `other ${i}`));
        let model: string[] = [];
        let latest: SignedCheckpoint | undefined;
        for (const { tree, size, old } of questions) {
          const from = trees[tree] ?? HONEST;
          const oldSize = old === "latest" ? model.length : old;
          const asked = leaves(tree, size);
          const proof = oldSize <= size ? from.consistency(oldSize, size) : [];
          const verdict = judgeAddCheckpoint(suite, log, latest, { oldSize, proof, checkpoint: from.checkpoint(size) });
          const continues = model.every((leaf, i) => leaf === asked[i]);
          const expected =
            oldSize > size
              ? 400
              : size === model.length && !continues
                ? 409
                : oldSize !== model.length
                  ? 409
                  : continues
                    ? 200
                    : 422;
          expect(verdict.status).toBe(expected);
          if (verdict.status !== 200) continue;
          model = asked;
          latest = verdict.checkpoint;
        }
      }),
      { numRuns: 100 },
    );
  });
});

describe("the answer of a witness", () => {
  const checkpoint = opened(HONEST.checkpoint(5));
  const line = cosign(suite, witnessKey, witness.name, checkpoint.text, 1_700_000_000);
  const other = cosign(suite, logKey, "witness.example/w2", checkpoint.text, 1_700_000_000);

  test("is its lines and no others", () => {
    expect(takeCosignature(suite, checkpoint, other + line, witness)).toEqual([line.trimEnd()]);
    const again = opened(withCosignatures(checkpoint.text, [line]));
    expect(takeCosignature(suite, again, line, witness)).toEqual([line.trimEnd()]);
  });

  test("is refused when it did not cosign this checkpoint", () => {
    const earlier = cosign(suite, witnessKey, witness.name, HONEST.checkpoint(4), 1_700_000_000);
    const again = opened(withCosignatures(checkpoint.text, [line]));
    for (const body of [other, earlier]) {
      expect(() => takeCosignature(suite, again, body, witness)).toThrow(SecurityError);
    }
    expect(() => takeCosignature(suite, checkpoint, "", witness)).toThrow(PeerError);
  });

  test("is a size when it has cosigned another", () => {
    expect(parseConflict("20852014\n")).toBe(20852014);
    for (const body of ["", "5", "05\n", "5\n\n", "-1\n", "9007199254740992\n"]) {
      expect(() => parseConflict(body)).toThrow(PeerError);
    }
  });
});
