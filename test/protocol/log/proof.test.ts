import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { utf8 } from "../../../keys/bytes.ts";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { SecurityError } from "../../../keys/errors.ts";
import { openCheckpoint, type SignedCheckpoint } from "../../../protocol/log/checkpoint.ts";
import type { Witness } from "../../../protocol/log/cosignature.ts";
import { encodeLeaf } from "../../../protocol/log/leaf.ts";
import { EMPTY, type MapProof, subjectKey } from "../../../protocol/log/map.ts";
import {
  encodeLogProof,
  LogEvidenceError,
  type LogProof,
  type LogTrust,
  parseLogProof,
  refuseSplitView,
  verifyLogProof,
  verifySubject,
} from "../../../protocol/log/proof.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { SUITES } from "../../support/suites.ts";
import { NOW } from "../fixtures.ts";
import { MemoryLog } from "./memory-log.ts";
import { expectLogRefusal } from "./refusal.ts";

const suite = nativeSuite;
const T = NOW / 1000;
const DAY = 86_400_000;
const keys = [11, 12, 13].map((seed) => Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(seed)));
const witnesses = keys.map(({ publicKey }, index): Witness => ({ name: `witness${index}.example`, publicKey }));
const by = (...those: readonly (readonly [number, number])[]) =>
  those.map(([index, seconds]) => [keys[index], witnesses[index], seconds] as [Ed25519PrivateKey, Witness, number]);
const trustIn = ({ log }: MemoryLog): LogTrust => ({ log, witnesses: [], needed: 0, maxAge: DAY });
const opened = (log: MemoryLog, checkpoint: string): SignedCheckpoint => openCheckpoint(suite, checkpoint, log.log);
const only = (proof: LogProof): MapProof => proof.subjects[0] ?? { siblings: [], other: undefined };
const E_WITNESS = expect.objectContaining({ code: "E_WITNESS", name: "SecurityError" });

function grown(statements: number, seed = 1): MemoryLog {
  const log = new MemoryLog(suite, seed);
  for (let index = 0; index < statements; index++) log.add(`@name${index % 7}`, `statement ${index}`);
  return log;
}

describe.each(SUITES)("a proof bundle of an honest log, on the $name suite", (each) => {
  test("verifies at every size, from every earlier checkpoint and from none, for subjects that are there or not", () => {
    const log = new MemoryLog(each);
    const newest = new Map<string, Uint8Array>();
    const seen: SignedCheckpoint[] = [];
    for (let index = 0; index < 12; index++) {
      for (let more = 0; more <= index % 3; more++) {
        const subject = `@name${(index * 3 + more) % 7}`;
        newest.set(subject, log.add(subject, `statement ${index} ${more}`));
      }
      const checkpoint = log.publish();
      for (const last of [undefined, ...seen]) {
        const subjects = ["@nobody", "@name0", "@name3", "@name6"];
        const bundle = parseLogProof(encodeLogProof(log.prove(checkpoint, last?.size ?? 0, subjects)));
        const heads = verifyLogProof(each, bundle, trustIn(log), last, NOW);
        expect(heads.checkpoint).toMatchObject({ size: log.size, text: checkpoint });
        expect(heads.witnessTime).toBeUndefined();
        for (const [at, subject] of subjects.entries()) {
          const proof = bundle.subjects[at] as MapProof;
          verifySubject(each, heads, subject, newest.get(subject), proof);
          verifySubject(each, heads.headsRoot, subject, newest.get(subject), proof);
        }
      }
      seen.push(openCheckpoint(each, checkpoint, log.log));
    }
  });
});

describe("a bundle is refused when", () => {
  const log = grown(20);
  const early = opened(log, log.publish());
  log.add("@name3", "newer");
  const checkpoint = log.publish();
  const bundle = log.prove(checkpoint, early.size, ["@name3"]);
  const trust = trustIn(log);
  const verify = (spoiled: Partial<LogProof>, last: SignedCheckpoint | undefined = early): void =>
    void verifyLogProof(suite, { ...bundle, ...spoiled }, trust, last, NOW);

  test("nothing is wrong with it, it is not", () => {
    verify({});
  });

  test("its checkpoint is of another log: another origin or another key", () => {
    expectLogRefusal(() => void verifyLogProof(suite, bundle, trustIn(new MemoryLog(suite, 2)), early, NOW));
    expectLogRefusal(() => void verifyLogProof(suite, bundle, trustIn(new MemoryLog(suite, 1, "other")), early, NOW));
  });

  test("the last checkpoint was of another log", () => {
    expectLogRefusal(() => verify({}, { ...early, origin: "np.example.org:7800/old" }));
  });

  test("any one bit of any hash in it is flipped", () => {
    const hashes: [keyof LogProof, number][] = [
      ...bundle.inclusion.map((_, at) => ["inclusion", at] as [keyof LogProof, number]),
      ...bundle.consistency.map((_, at) => ["consistency", at] as [keyof LogProof, number]),
    ];
    expect(hashes.length).toBeGreaterThan(6);
    for (let bit = 0; bit < 256; bit++) {
      const flip = (hash: Uint8Array): Uint8Array => hash.with(bit >> 3, (hash[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
      expectLogRefusal(() => verify({ headsRoot: flip(bundle.headsRoot) }));
      for (const [part, at] of hashes) {
        const list = bundle[part] as readonly Uint8Array[];
        expectLogRefusal(() => verify({ [part]: list.with(at, flip(list[at] as Uint8Array)) }));
      }
    }
  });

  test("hashes are missing, or there are more of them", () => {
    for (const part of ["inclusion", "consistency"] as const) {
      for (const hashes of [[], bundle[part].slice(1), bundle[part].slice(0, -1), [...bundle[part], EMPTY]]) {
        expectLogRefusal(() => verify({ [part]: hashes }));
      }
    }
    expectLogRefusal(() => verify({ headsRoot: bundle.headsRoot.subarray(1) }));
  });

  test("its consistency begins elsewhere than at the last checkpoint", () => {
    expectLogRefusal(() => verify({ since: early.size - 1 }));
    expectLogRefusal(() => verify({ since: 0 }));
    expectLogRefusal(() => verify({ since: log.size }));
    expectLogRefusal(() => verify({}, { ...early, size: early.size - 1 }));
  });

  test("the log is smaller than it was", () => {
    const before = grown(20);
    const older = before.prove(before.publish(), 0);
    expect(() => verifyLogProof(suite, older, trust, opened(log, checkpoint), NOW)).toThrow(/smaller/);
    expectLogRefusal(() => void verifyLogProof(suite, older, trust, opened(log, checkpoint), NOW));
  });

  test("the log's past is another than it was", () => {
    const other = new MemoryLog(suite);
    for (let index = 0; index < 20; index++) other.add(`@name${index % 7}`, `statement ${index === 4 ? "x" : index}`);
    other.publish();
    other.add("@name3", "newer");
    const rewritten = other.prove(other.publish(), early.size, ["@name3"]);
    expectLogRefusal(() => void verifyLogProof(suite, rewritten, trust, early, NOW));
    // To whoever has seen nothing it looks as good as the other; that is what witnesses and gossip are for.
    verifyLogProof(suite, rewritten, trust, undefined, NOW);
  });

  test("the last leaf is no heads leaf, or one of another map", () => {
    const other = grown(20);
    const statement = encodeLeaf({ type: "statement", hash: other.headsRoot });
    other.append(statement);
    const unfit = other.prove(other.checkpoint(), 0);
    expectLogRefusal(() => void verifyLogProof(suite, unfit, trust, undefined, NOW));
    const old = grown(20);
    const { headsRoot } = old.prove(old.publish(), 0);
    expectLogRefusal(() => verify({ headsRoot }));
  });

  test("the heads leaf that it shows is an earlier one", () => {
    const old = grown(20);
    old.publish();
    const before = old.prove(old.checkpoint(), 0, ["@name3"]);
    expectLogRefusal(() => verify({ headsRoot: before.headsRoot, inclusion: before.inclusion }, undefined));
  });

  test("and what it says of the past means nothing to those who have seen nothing", () => {
    verifyLogProof(suite, { ...bundle, since: 5, consistency: [EMPTY] }, trust, undefined, NOW);
  });

  test("and the same checkpoint again needs no consistency", () => {
    const again = opened(log, checkpoint);
    verify({ since: 0, consistency: [] }, again);
    verify({ since: again.size, consistency: [] }, again);
  });
});

describe("two trees of one size", () => {
  const one = grown(9);
  const other = one.fork();
  const [seen, shown] = [one.publish(), (other.add("@x", "x"), other.checkpoint())];
  test("in one log are evidence: both signed checkpoints, for anybody to verify", () => {
    expect(opened(one, seen).size).toBe(opened(other, shown).size);
    let thrown: unknown;
    try {
      verifyLogProof(suite, other.prove(shown, 0), trustIn(one), opened(one, seen), NOW);
    } catch (error) {
      thrown = error;
    }
    if (!(thrown instanceof LogEvidenceError)) throw new Error("no evidence");
    expect(thrown).toBeInstanceOf(SecurityError);
    expect(thrown.code).toBe("E_LOG");
    expect(thrown.next).toMatch(/evidence/);
    const [first, second] = thrown.evidence.map((text) => openCheckpoint(suite, text, one.log));
    expect(first?.size).toBe(second?.size);
    expect(first?.root).not.toEqual(second?.root);
  });

  test("are found between two parties by their checkpoints alone", () => {
    const [mine, theirs] = [opened(one, seen), opened(other, shown)];
    expect(() => refuseSplitView(mine, theirs)).toThrow(LogEvidenceError);
    refuseSplitView(mine, mine);
    refuseSplitView(mine, { ...theirs, size: theirs.size + 1 });
    refuseSplitView(mine, { ...theirs, origin: "another.log" });
  });
});

describe("witnesses", () => {
  const log = grown(5);
  const verify = (
    cosigned: readonly (readonly [number, number])[],
    trust: Partial<LogTrust>,
    now = NOW,
  ): number | undefined => {
    const each = log.fork();
    const bundle = each.prove(each.publish(by(...cosigned)), 0);
    return verifyLogProof(suite, bundle, { ...trustIn(log), witnesses, ...trust }, undefined, now).witnessTime;
  };

  test("must be as many as are needed, and the k-th newest time counts", () => {
    const all = [
      [0, T - 30],
      [1, T - 10],
      [2, T - 20],
    ] as const;
    expect(verify(all, { needed: 1 })).toBe(NOW - 10_000);
    expect(verify(all, { needed: 2 })).toBe(NOW - 20_000);
    expect(verify(all, { needed: 3 })).toBe(NOW - 30_000);
    for (const needed of [1, 2, 3]) {
      expect(() => verify(all.slice(0, needed - 1), { needed })).toThrow(E_WITNESS);
      expect(() => verify(all.slice(0, needed - 1), { needed })).toThrow(`${needed - 1} of 3 witnesses`);
      verify(all.slice(0, needed), { needed });
    }
  });

  test("of which two are one key are one witness", () => {
    const [first] = witnesses;
    if (first === undefined) throw new Error("no witness");
    const twice = [first, { ...first, name: "again.example" }, ...witnesses.slice(1)];
    const each = log.fork();
    const [key] = keys;
    const cosigned = each.publish([
      [key as Ed25519PrivateKey, first, T],
      [key as Ed25519PrivateKey, { ...first, name: "again.example" }, T + 1],
    ]);
    const bundle = each.prove(cosigned, 0);
    const trust = { ...trustIn(log), witnesses: twice };
    expect(() => verifyLogProof(suite, bundle, { ...trust, needed: 2 }, undefined, NOW)).toThrow(E_WITNESS);
    expect(verifyLogProof(suite, bundle, { ...trust, needed: 1 }, undefined, NOW).witnessTime).toBe(NOW + 1000);
    expect(() => verifyLogProof(suite, bundle, { ...trust, needed: 4 }, undefined, NOW)).toThrow(RangeError);
  });

  test("must be recent: the k-th newest not older than the limit, to the millisecond", () => {
    const two = [
      [0, T - 3600],
      [1, T],
    ] as const;
    verify(two, { needed: 2, maxAge: 3_600_000 });
    expect(() => verify(two, { needed: 2, maxAge: 3_599_999 })).toThrow(E_WITNESS);
    expect(() => verify(two, { needed: 2, maxAge: 3_599_999 })).toThrow("It is 60 min since 2 of 3 witnesses");
    verify(two, { needed: 1, maxAge: 0 });
    expect(() => verify(two, { needed: 1, maxAge: 0 }, NOW + 1)).toThrow(E_WITNESS);
    // A clock that is behind must not shut its owner out.
    expect(verify(two, { needed: 1 }, 0)).toBe(NOW);
    expect(() => verify(two, { needed: 1 }, Number.NaN)).toThrow(E_WITNESS);
  });

  test("are asked for by whoever calls, and a demand that says nothing is an error", () => {
    expect(verify([], { witnesses: [], needed: 0 })).toBeUndefined();
    for (const trust of [
      { needed: 0 },
      { needed: 4 },
      { needed: -1 },
      { needed: 1.5 },
      { needed: Number.NaN },
      { witnesses: [], needed: 1 },
      { witnesses: [], needed: -1 },
    ]) {
      expect(() => verify([[0, T]], trust)).toThrow(RangeError);
    }
  });

  test("come after the log's own signature, and before everything else", () => {
    const each = log.fork();
    const bundle = each.prove(each.publish(), 0);
    const trust = { ...trustIn(log), witnesses, needed: 1 };
    const spoiled = { ...bundle, inclusion: [] };
    expectLogRefusal(() => void verifyLogProof(suite, spoiled, trustIn(log), undefined, NOW));
    expect(() => verifyLogProof(suite, spoiled, trust, undefined, NOW)).toThrow(E_WITNESS);
    const stranger = { ...trust, log: new MemoryLog(suite, 2).log };
    expectLogRefusal(() => void verifyLogProof(suite, spoiled, stranger, undefined, NOW));
  });
});

describe("a statement counts only as the newest of its subject", () => {
  const log = grown(20);
  const subject = "@acme/laptop";
  const binding = log.add(subject, "binding");
  const seen = opened(log, log.publish());
  const revoked = log.fork();
  const revocation = revoked.add(subject, "revocation");
  const heads = (of: MemoryLog): { verified: ReturnType<typeof verifyLogProof>; proof: MapProof } => {
    const bundle = of.prove(of.publish(by([0, T])), seen.size, [subject]);
    const trust = { ...trustIn(log), witnesses, needed: 1 };
    return { verified: verifyLogProof(suite, bundle, trust, seen, NOW), proof: only(bundle) };
  };

  test("so a revocation is proved, and what it revokes is not any more", () => {
    const { verified, proof } = heads(revoked.fork());
    verifySubject(suite, verified, subject, revocation, proof);
    expectLogRefusal(() => verifySubject(suite, verified, subject, binding, proof));
    expect(() => verifySubject(suite, verified, subject, binding, proof)).toThrow(`newest on ${subject}`);
    expectLogRefusal(() => verifySubject(suite, verified, subject, undefined, proof));
    expect(() => verifySubject(suite, verified, subject, undefined, proof)).toThrow(`no statement on ${subject}`);
  });

  test("so a newest statement that is hidden behind a fresh checkpoint is missed, whichever old proof is shown", () => {
    const old = heads(log.fork());
    const { verified, proof } = heads(revoked.fork());
    for (const shown of [old.proof, proof, { siblings: [], other: undefined }]) {
      expectLogRefusal(() => verifySubject(suite, verified, subject, binding, shown));
      expectLogRefusal(() => verifySubject(suite, verified, subject, undefined, shown));
    }
    // The old heads do not go with the fresh checkpoint either.
    const fresh = revoked.fork();
    const bundle = fresh.prove(fresh.publish(), seen.size);
    const hidden = { ...bundle, headsRoot: old.verified.headsRoot };
    expectLogRefusal(() => void verifyLogProof(suite, hidden, trustIn(log), seen, NOW));
  });

  test("so a log that keeps it out of its map shows everybody else the same, until its subject looks", () => {
    const hiding = log.fork();
    hiding.add(subject, "revocation", true);
    const { verified, proof } = heads(hiding);
    verifySubject(suite, verified, subject, binding, proof);
    expectLogRefusal(() => verifySubject(suite, verified, subject, revocation, proof));
  });

  test("so one subject's proof is none for another, even with the same statement", () => {
    const { verified, proof } = heads(revoked.fork());
    expectLogRefusal(() => verifySubject(suite, verified, "@acme/phone", revocation, proof));
    expectLogRefusal(() => verifySubject(suite, verified, "@acme/laptop ", revocation, proof));
  });

  test("so no subject is absent that is there, and none is there that is absent", () => {
    const fresh = revoked.fork();
    const bundle = fresh.prove(fresh.publish(), 0, ["@nobody", "@name3"]);
    const { headsRoot, subjects } = bundle;
    const [absent, present] = subjects as [MapProof, MapProof];
    verifySubject(suite, headsRoot, "@nobody", undefined, absent);
    expectLogRefusal(() => verifySubject(suite, headsRoot, "@nobody", revocation, absent));
    expectLogRefusal(() => verifySubject(suite, headsRoot, "@name3", undefined, present));
    expectLogRefusal(() => verifySubject(suite, headsRoot, "@name3", undefined, absent));
  });
});

describe("the bytes of a bundle", () => {
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const mapProof = fc.record({
    siblings: fc.array(fc.oneof(hash, fc.constant(EMPTY)), { maxLength: 40 }),
    other: fc.option(fc.record({ key: hash, value: hash }), { nil: undefined }),
  });
  const bundle: fc.Arbitrary<LogProof> = fc.record({
    checkpoint: fc.string({ unit: "grapheme", maxLength: 300 }),
    headsRoot: hash,
    inclusion: fc.array(hash, { maxLength: 63 }),
    since: fc.maxSafeNat(),
    consistency: fc.array(hash, { maxLength: 63 }),
    subjects: fc.array(mapProof, { maxLength: 8 }),
  });

  test("are read as they were written", () => {
    fc.assert(
      fc.property(bundle, (value) => {
        expect(parseLogProof(encodeLogProof(value))).toEqual(value);
      }),
    );
  });

  test("are refused when they end anywhere else", () => {
    const log = grown(5);
    const bytes = encodeLogProof(log.prove(log.publish(), 3, ["@name1", "@nobody"]));
    for (let length = 0; length < bytes.length; length++) {
      expect(() => parseLogProof(bytes.subarray(0, length))).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
    }
    expect(() => parseLogProof(Uint8Array.of(...bytes, 0))).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
  });

  test("have limits, which are neither written nor read beyond", () => {
    const most = (changes: Partial<LogProof>): LogProof => ({
      checkpoint: "",
      headsRoot: EMPTY,
      inclusion: [],
      since: 0,
      consistency: [],
      subjects: [],
      ...changes,
    });
    const hashes = (count: number): Uint8Array[] => Array.from({ length: count }, () => new Uint8Array(32).fill(1));
    const empty = { siblings: [], other: undefined };
    for (const within of [
      { inclusion: hashes(63) },
      { consistency: hashes(63) },
      { subjects: Array.from({ length: 16 }, () => empty) },
      { checkpoint: "x".repeat(4096) },
      { subjects: [{ siblings: hashes(256), other: undefined }] },
    ]) {
      parseLogProof(encodeLogProof(most(within)));
    }
    for (const beyond of [
      { inclusion: hashes(64) },
      { consistency: hashes(64) },
      { subjects: Array.from({ length: 17 }, () => empty) },
      { subjects: Array.from({ length: 3 }, () => ({ siblings: hashes(256), other: undefined })) },
      { since: -1 },
      { since: 2 ** 53 },
      { checkpoint: "x".repeat(4097) },
      { headsRoot: new Uint8Array(31) },
      { inclusion: [new Uint8Array(31)] },
      { consistency: [new Uint8Array(33)] },
    ]) {
      expect(() => encodeLogProof(most(beyond)), JSON.stringify(Object.keys(beyond))).toThrow(RangeError);
    }
    const refused = expect.objectContaining({ code: "E_PROTOCOL" });
    const bytes = encodeLogProof(most({}));
    const inclusionAt = 2 + 32;
    for (const [at, value] of [
      [inclusionAt, 64],
      [inclusionAt + 1, 1],
      [inclusionAt + 9, 64],
      [inclusionAt + 10, 17],
    ] as const) {
      const long = Uint8Array.of(...bytes.subarray(0, at), value, ...bytes.subarray(at + 1), ...new Uint8Array(3000));
      expect(() => parseLogProof(long)).toThrow(refused);
    }
    expect(() => parseLogProof(new Uint8Array(24 * 1024 + 1))).toThrow(refused);
    expect(() => parseLogProof(Uint8Array.of(0x10, 1, ...new Uint8Array(5000)))).toThrow(refused);
    expect(() => parseLogProof(Uint8Array.of(0, 1, 0xff, ...bytes.subarray(2)))).toThrow(refused);
  });
});

test("a subject's key has nothing to do with how long its name is", () => {
  expect(subjectKey(suite, "@a")).toHaveLength(32);
  expect(subjectKey(suite, "@é")).toEqual(suite.sha256(utf8("@é")));
});
