import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, equalBytes, hex } from "../../../keys/bytes.ts";
import {
  EMPTY,
  encodeMapNode,
  type MapProof,
  MapRows,
  parseMapNode,
  pathOf,
  readMapProof,
  subjectKey,
  verifyMapProof,
  writeMapProof,
} from "../../../protocol/log/map.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { SUITES } from "../../support/suites.ts";
import type { HashedNode, MapEntry, MapNode } from "../../../protocol/log/map-node.ts";
import { expectLogRefusal } from "./refusal.ts";

const suite = nativeSuite;

/** The definition, word for word: recursive over all entries of a subtree. */
function naiveRoot(entries: readonly MapEntry[], depth = 0): Uint8Array {
  const [first] = entries;
  if (first === undefined) return new Uint8Array(32);
  if (entries.length === 1) return suite.sha256(Uint8Array.of(2), first.key, first.value);
  const bit = ({ key }: MapEntry): boolean => ((key[Math.floor(depth / 8)] ?? 0) & (128 >> (depth % 8))) > 0;
  const left = entries.filter((entry) => !bit(entry));
  return suite.sha256(Uint8Array.of(3), naiveRoot(left, depth + 1), naiveRoot(entries.filter(bit), depth + 1));
}

/** A store of rows as a shell has it: rows are put, loaded by name, and never taken away. */
class Store {
  readonly rows = new Map<string, MapNode>();
  root: Uint8Array = EMPTY;

  /** With only those rows that lie on the ways of `keys`. */
  load(keys: readonly Uint8Array[]): MapRows {
    const loaded = new Map<string, MapNode>();
    const map = new MapRows(suite, this.root, loaded);
    for (const key of keys) {
      for (let path = map.missing(key); path !== undefined; path = map.missing(key)) {
        const row = this.rows.get(path);
        if (row === undefined) throw new Error(`row ${path} was never put`);
        loaded.set(path, parseMapNode(encodeMapNode(row)));
      }
    }
    return map;
  }

  update(entries: readonly MapEntry[]): void {
    const { root, rows } = this.load(entries.map(({ key }) => key)).update(entries);
    for (const [path, row] of rows) {
      const before = this.rows.get(path);
      if (before !== undefined && isSame(encodeMapNode(before), encodeMapNode(row))) throw new Error("put for nothing");
      this.rows.set(path, row);
    }
    this.root = root;
  }

  prove(key: Uint8Array): MapProof {
    return this.load([key]).prove(key);
  }
}

/** Bits that differ in few places, so that keys share long prefixes; now and then all but the last bits. */
const key = fc
  .tuple(
    fc.constantFrom(0, 0, 0x80, 0xff),
    fc.constantFrom(0, 1, 2, 3, 0x80),
    fc.oneof({ arbitrary: fc.constant(0), weight: 20 }, { arbitrary: fc.constantFrom(1, 3, 0x80), weight: 1 }),
  )
  .map(([first, fourth, last]) => {
    const bytes = new Uint8Array(32);
    [bytes[0], bytes[3], bytes[31]] = [first, fourth, last];
    return bytes;
  });
const anyKey = fc.oneof(key, fc.uint8Array({ minLength: 32, maxLength: 32 }));
const value = fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.constant(new Uint8Array(32)));
const batch = fc.array(fc.record({ key: anyKey, value }), { maxLength: 6 });
const history = fc.array(batch, { maxLength: 8 });

describe("a map with any history of updates", () => {
  test("has the root of its definition, and proves for every key what it has and nothing else", () => {
    fc.assert(
      fc.property(history, fc.array(anyKey, { maxLength: 6 }), (batches, strangers) => {
        const store = new Store();
        const model = new Map<string, MapEntry>();
        for (const entries of batches) {
          store.update(entries);
          for (const entry of entries) model.set(hex(entry.key), entry);
          expect(hex(store.root)).toBe(hex(naiveRoot([...model.values()])));
        }
        const full = store.load([...model.values()].map((entry) => entry.key));
        for (const one of [...[...model.values()].map((entry) => entry.key), ...strangers]) {
          const known = model.get(hex(one))?.value;
          const proof = store.prove(one);
          verifyMapProof(suite, store.root, one, known, proof);
          expect(full.missing(one)).toBeUndefined();
          expect(hex(written(full.prove(one)))).toBe(hex(written(proof)));
          const others = [
            undefined,
            new Uint8Array(32).fill(9),
            ...[...model.values()].slice(0, 3).map((entry) => entry.value),
          ];
          for (const other of others.filter((candidate) => !isSame(candidate, known))) {
            expectLogRefusal(() => verifyMapProof(suite, store.root, one, other, proof));
          }
        }
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  test("is the same as one built anew, in any order, in one go or one by one", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ key: anyKey, value }), { maxLength: 12, selector: (entry) => hex(entry.key) }),
        fc.func(fc.nat()),
        (entries, order) => {
          const shuffled = entries.toSorted((a, b) => order(hex(a.key)) - order(hex(b.key)));
          const [atOnce, oneByOne, backwards] = [new Store(), new Store(), new Store()];
          atOnce.update(entries);
          for (const entry of shuffled) oneByOne.update([entry]);
          for (const entry of shuffled.toReversed()) backwards.update([entry, entry]);
          expect(sorted(oneByOne)).toEqual(sorted(atOnce));
          expect(sorted(backwards)).toEqual(sorted(atOnce));
          expect([hex(oneByOne.root), hex(backwards.root)]).toEqual([hex(atOnce.root), hex(atOnce.root)]);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("puts no row for what does not change, and lets the last entry of a key count", () => {
    fc.assert(
      fc.property(batch, anyKey, value, value, (entries, one, before, after) => {
        const store = new Store();
        store.update(entries);
        store.update([
          { key: one, value: before },
          { key: one, value: after },
        ]);
        verifyMapProof(suite, store.root, one, after, store.prove(one));
        const again = store.load([one]).update([{ key: one, value: after }]);
        expect(again.rows.size).toBe(0);
        expect(again.root).toEqual(store.root);
      }),
      { numRuns: 200 },
    );
  });

  test("has proofs that hold for no other key, with whatever value", () => {
    fc.assert(
      fc.property(fc.array(fc.record({ key, value }), { minLength: 1, maxLength: 8 }), anyKey, (entries, stranger) => {
        const store = new Store();
        store.update(entries);
        const model = new Map(entries.map((entry) => [hex(entry.key), entry]));
        const all = [...model.values(), { key: stranger, value: model.get(hex(stranger))?.value }];
        for (const one of all) {
          const proof = store.prove(one.key);
          for (const other of all.filter((candidate) => !equalBytes(candidate.key, one.key))) {
            // One empty subtree, or one other entry, may say of many keys that they are absent.
            const isAbsence = one.value === undefined;
            const values = isAbsence ? [other.value ?? new Uint8Array(32)] : [one.value, other.value];
            for (const claimed of values) {
              expectLogRefusal(() => verifyMapProof(suite, store.root, other.key, claimed, proof));
            }
          }
        }
      }),
      { numRuns: 80 },
    );
  });
});

describe("a proof of the map", () => {
  const store = new Store();
  const entries = Array.from({ length: 40 }, (_, index) => ({
    key: subjectKey(suite, `@name${index}`),
    value: suite.sha256(Uint8Array.of(index)),
  }));
  store.update(entries);
  const absent = Array.from({ length: 40 }, (_, index) => subjectKey(suite, `@nobody${index}`));
  const claims = [...entries, ...absent.map((missing) => ({ key: missing, value: undefined }))].map((claim) => ({
    ...claim,
    proof: store.prove(claim.key),
  }));

  test("of absence shows nothing, or one entry that stands there; both occur here", () => {
    const kinds = claims.filter((claim) => claim.value === undefined).map(({ proof }) => proof.other !== undefined);
    expect(new Set(kinds)).toEqual(new Set([true, false]));
  });

  test("is refused with any one bit flipped in any part", () => {
    for (const claim of claims.slice(36, 44)) {
      const { siblings, other } = claim.proof;
      const parts = [store.root, claim.key, ...siblings];
      if (claim.value !== undefined) parts.push(claim.value);
      if (other !== undefined) parts.push(other.key, other.value);
      for (const part of parts) {
        for (let bit = 0; bit < 256; bit++) {
          part[bit >> 3] = (part[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
          // Of an absent key only the bits on its way are bound.
          const isUnbound = part === claim.key && claim.value === undefined && bit >= siblings.length;
          const verify = (): void => verifyMapProof(suite, store.root, claim.key, claim.value, claim.proof);
          if (isUnbound) verify();
          else expectLogRefusal(verify);
          part[bit >> 3] = (part[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
        }
      }
      verifyMapProof(suite, store.root, claim.key, claim.value, claim.proof);
    }
  });

  test("is refused with a hash too few, too many, twice, or in another place", () => {
    for (const { key: one, value: has, proof } of claims) {
      const { siblings, other } = proof;
      const spoiled = [siblings.slice(1), siblings.slice(0, -1), [...siblings, EMPTY], [EMPTY, ...siblings]];
      spoiled.push([...siblings, ...siblings.slice(-1)], siblings.toReversed());
      for (const changed of spoiled) {
        expectLogRefusal(() => verifyMapProof(suite, store.root, one, has, { siblings: changed, other }));
      }
    }
  });

  test("of absence is refused with the key's own entry, a neighbour's, or another's who stands elsewhere", () => {
    for (const { key: one, value: has, proof } of claims) {
      for (const entry of entries) {
        if (proof.other !== undefined && equalBytes(entry.key, proof.other.key)) continue;
        expectLogRefusal(() => verifyMapProof(suite, store.root, one, undefined, { ...proof, other: entry }));
      }
      if (has !== undefined) {
        const own = { key: one, value: has };
        expectLogRefusal(() => verifyMapProof(suite, store.root, one, has, { ...proof, other: own }));
        expectLogRefusal(() => verifyMapProof(suite, store.root, one, undefined, proof));
      }
    }
  });

  test("of presence is refused with an entry that nobody asked for, though it might stand there", () => {
    for (const { key: one, value: has, proof } of claims) {
      if (has === undefined) continue;
      const neighbour = { key: one.with(31, (one[31] ?? 0) ^ 1), value: has };
      expectLogRefusal(() => verifyMapProof(suite, store.root, one, has, { ...proof, other: neighbour }));
    }
  });

  test("is refused when it is deeper than a key has bits, or of parts that are not 32 bytes", () => {
    const [claim] = claims;
    if (claim === undefined) throw new Error("no claim");
    const { key: one, value: has, proof } = claim;
    const deep = { siblings: Array.from({ length: 257 }, () => new Uint8Array(32).fill(1)), other: undefined };
    expectLogRefusal(() => verifyMapProof(suite, store.root, one, has, deep));
    const short = new Uint8Array(31);
    expectLogRefusal(() => verifyMapProof(suite, short, one, has, proof));
    expectLogRefusal(() => verifyMapProof(suite, store.root, short, has, proof));
    expectLogRefusal(() => verifyMapProof(suite, store.root, one, short, proof));
    expectLogRefusal(() =>
      verifyMapProof(suite, store.root, one, has, { siblings: proof.siblings.with(0, short), other: undefined }),
    );
    for (const other of [
      { key: short, value: EMPTY },
      { key: EMPTY, value: short },
    ]) {
      expectLogRefusal(() => verifyMapProof(suite, store.root, one, undefined, { ...proof, other }));
    }
  });

  test("of a map that is malformed gives no key a second answer", () => {
    // One entry deeper than it is alone, beside an empty subtree.
    const [entry] = entries;
    if (entry === undefined) throw new Error("no entry");
    const hash = suite.sha256(encodeMapNode({ kind: "entry", ...entry }));
    const isRight = ((entry.key[0] ?? 0) & 0x80) > 0;
    const root = suite.sha256(
      encodeMapNode({ kind: "branch", left: isRight ? EMPTY : hash, right: isRight ? hash : EMPTY }),
    );
    expectLogRefusal(() =>
      verifyMapProof(suite, root, entry.key, entry.value, { siblings: [EMPTY], other: undefined }),
    );
    // An entry on a way that is not its own says nothing of the keys whose way it is.
    const stranger = entry.key.with(0, (entry.key[0] ?? 0) ^ 0x80);
    const misplaced = suite.sha256(
      encodeMapNode({ kind: "branch", left: isRight ? hash : stranger, right: isRight ? stranger : hash }),
    );
    const other = { key: entry.key, value: entry.value };
    expectLogRefusal(() => verifyMapProof(suite, misplaced, stranger, undefined, { siblings: [stranger], other }));
    // Two empty subtrees.
    const hollow = suite.sha256(encodeMapNode({ kind: "branch", left: EMPTY, right: EMPTY }));
    expectLogRefusal(() =>
      verifyMapProof(suite, hollow, entry.key, undefined, { siblings: [EMPTY], other: undefined }),
    );
  });

  test("is read as it was written, takes 33 bytes a sibling or less, and has no second form", () => {
    for (const { proof } of claims) {
      const bytes = written(proof);
      expect(read(bytes)).toEqual(proof);
      expect(bytes.length).toBeLessThanOrEqual(3 + 33 * proof.siblings.length + (proof.other === undefined ? 0 : 64));
    }
    expect(written({ siblings: [], other: undefined })).toEqual(Uint8Array.of(0, 0, 0));
    const refused = expect.objectContaining({ code: "E_PROTOCOL" });
    const hash = new Uint8Array(32).fill(7);
    for (const bytes of [
      [],
      [0, 0],
      [0, 0, 2],
      [0, 0, 0, 0],
      [0, 1, 0x40, 0],
      [0, 1, 0x80, ...new Uint8Array(32), 0],
      [0, 1, 0x80, ...hash.subarray(1), 0],
      [1, 1, ...new Uint8Array(33), 0],
      [0, 0, 1, ...hash],
    ]) {
      expect(() => read(Uint8Array.from(bytes)), bytes.join(" ")).toThrow(refused);
    }
    expect(() => written({ siblings: Array.from({ length: 257 }, () => EMPTY), other: undefined })).toThrow(RangeError);
  });
});

test("keys that differ in the last bit alone have ways of 256 steps", () => {
  const store = new Store();
  const one = new Uint8Array(32).fill(0xaa);
  const other = one.with(31, 0xab) as Uint8Array;
  store.update([
    { key: one, value: EMPTY },
    { key: other, value: one },
  ]);
  const proof = store.prove(other);
  expect(proof.siblings).toHaveLength(256);
  verifyMapProof(suite, store.root, other, one, proof);
  verifyMapProof(suite, store.root, one, EMPTY, read(written(store.prove(one))));
  expectLogRefusal(() => verifyMapProof(suite, store.root, other, EMPTY, proof));
});

test.each(SUITES)("the map is hashed as it is defined, on the $name suite", (each) => {
  const left = { key: new Uint8Array(32), value: new Uint8Array(32).fill(1) };
  const right = { key: new Uint8Array(32).fill(0xff), value: new Uint8Array(32).fill(2) };
  const empty = new MapRows(each, EMPTY, new Map());
  expect(empty.missing(left.key)).toBeUndefined();
  expect(empty.prove(left.key)).toEqual({ siblings: [], other: undefined });
  const hashOf = (kind: number, one: Uint8Array, two: Uint8Array): string =>
    hex(each.sha256(Uint8Array.of(kind), one, two));
  expect(hex(empty.update([left]).root)).toBe(hashOf(2, left.key, left.value));
  const both = empty.update([left, right]);
  expect([...both.rows.keys()].sort()).toEqual(["000", "0010", "0018"]);
  const [one, two] = [left, right].map((entry) => each.sha256(Uint8Array.of(2), entry.key, entry.value));
  expect(hex(both.root)).toBe(hashOf(3, one as Uint8Array, two as Uint8Array));
});

describe("rows of the map", () => {
  test("have names that say depth and way, one for one, in the order of depth", () => {
    const names = new Map<string, string>();
    fc.assert(
      fc.property(anyKey, fc.nat(256), (one, depth) => {
        const bits = Array.from(one, (byte) => byte.toString(2).padStart(8, "0"))
          .join("")
          .slice(0, depth);
        const name = pathOf(one, depth);
        expect(name).toMatch(/^[0-9a-f]{3,67}$/);
        expect(names.get(name) ?? `${depth} ${bits}`).toBe(`${depth} ${bits}`);
        names.set(name, `${depth} ${bits}`);
        expect(name < pathOf(one, depth + 1) || depth === 256).toBe(true);
      }),
      { numRuns: 2000 },
    );
    expect(new Set(names.values()).size).toBe(names.size);
    const one = Uint8Array.of(0b10110111, ...new Uint8Array(31));
    expect([0, 1, 3, 4, 7, 8].map((depth) => pathOf(one, depth))).toEqual([
      "000",
      "0018",
      "003a",
      "004b",
      "007b6",
      "008b7",
    ]);
    expect(one[0]).toBe(0b10110111);
  });

  test("are read as they were written, and nothing else is", () => {
    fc.assert(
      fc.property(value, value, (one, two) => {
        for (const node of [
          { kind: "branch", left: one, right: two },
          { kind: "entry", key: one, value: two },
        ] as const) {
          expect(parseMapNode(encodeMapNode(node))).toEqual(node);
        }
      }),
    );
    const refused = expect.objectContaining({ code: "E_PROTOCOL" });
    for (const length of [0, 64, 66]) expect(() => parseMapNode(new Uint8Array(length).fill(2))).toThrow(refused);
    for (const kind of [0, 1, 4]) expect(() => parseMapNode(new Uint8Array(65).fill(kind))).toThrow(refused);
  });

  test("must be what their parents say, or nothing is proved or updated with them", () => {
    const store = new Store();
    store.update(Array.from({ length: 8 }, (_, index) => ({ key: subjectKey(suite, `${index}`), value: EMPTY })));
    const one = subjectKey(suite, "3");
    const way = [...store.rows.keys()].filter((path) => path === pathOf(one, Number.parseInt(path.slice(0, 3), 16)));
    expect(way.length).toBeGreaterThan(2);
    for (const path of way) {
      const row = store.rows.get(path) as MapNode;
      const bytes = encodeMapNode(row);
      const spoiled = parseMapNode(bytes.with(64, (bytes[64] ?? 0) ^ 1));
      const map = new MapRows(suite, store.root, new Map([...store.rows, [path, spoiled]]));
      expectLogRefusal(() => map.prove(one));
      expectLogRefusal(() => map.missing(one));
      expectLogRefusal(() => map.update([{ key: one, value: one }]));
    }
  });

  test("are not asked for again when they were found to have a hash, as long as that is the one asked for", () => {
    const store = new Store();
    const entries = Array.from({ length: 8 }, (_, index) => ({ key: subjectKey(suite, `${index}`), value: EMPTY }));
    store.update(entries);
    const one = subjectKey(suite, "3");
    const hashed = new Map<string, HashedNode>();
    const kept = {
      get: (path: string) => hashed.get(path),
      put: (path: string, row: HashedNode) => hashed.set(path, row),
    };
    const proof = new MapRows(suite, store.root, store.rows, kept).prove(one);
    expect(hashed.size).toBeGreaterThan(2);
    const without = new MapRows(suite, store.root, new Map(), kept);
    expect(without.missing(one)).toBeUndefined();
    expect(without.prove(one)).toEqual(proof);
    expect(without.valueOf(one)).toEqual(EMPTY);
    expect(without.missing(subjectKey(suite, "4"))).toBeDefined();
    // Once the map is another one, what was its root serves nobody, and what is unchanged serves on.
    store.update([{ key: one, value: subjectKey(suite, "new") }]);
    expect(new MapRows(suite, store.root, new Map(), kept).missing(one)).toBe("000");
    const map = new MapRows(suite, store.root, store.rows, kept);
    expect(map.valueOf(one)).toEqual(subjectKey(suite, "new"));
    verifyMapProof(suite, store.root, one, subjectKey(suite, "new"), map.prove(one));
    // A row of another hash is refused all the same.
    const spoiled = new Map([...store.rows].map(([path, row]) => [path, spoil(row)] as const));
    expectLogRefusal(() => new MapRows(suite, store.root, spoiled, { get: () => undefined, put: () => {} }).prove(one));
    const lying = {
      get: (path: string) => ({ node: spoil(store.rows.get(path) as MapNode), hash: EMPTY }),
      put: () => {},
    };
    expect(new MapRows(suite, store.root, store.rows, lying).prove(one)).toEqual(map.prove(one));
  });

  test("are asked for by name while they are missing, and no proof is made without them", () => {
    const store = new Store();
    store.update(Array.from({ length: 8 }, (_, index) => ({ key: subjectKey(suite, `${index}`), value: EMPTY })));
    const one = subjectKey(suite, "3");
    const map = new MapRows(suite, store.root, new Map());
    expect(map.missing(one)).toBe("000");
    expect(() => map.prove(one)).toThrow(RangeError);
    expect(() => map.update([{ key: one, value: EMPTY }])).toThrow(RangeError);
    for (const length of [31, 33]) {
      expect(() => map.missing(new Uint8Array(length))).toThrow(RangeError);
      expect(() => map.update([{ key: new Uint8Array(length), value: EMPTY }])).toThrow(RangeError);
      expect(() => map.update([{ key: EMPTY, value: new Uint8Array(length) }])).toThrow(RangeError);
    }
  });
});

test("a subject's key is SHA-256 of its UTF-8", () => {
  expect(hex(subjectKey(suite, "abc"))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

function spoil(row: MapNode): MapNode {
  const bytes = encodeMapNode(row);
  return parseMapNode(bytes.with(64, (bytes[64] ?? 0) ^ 1));
}

function written(proof: MapProof): Uint8Array {
  const writer = new ByteWriter();
  writeMapProof(writer, proof);
  return writer.done();
}

function read(bytes: Uint8Array): MapProof {
  const reader = new ByteReader(bytes);
  const proof = readMapProof(reader);
  reader.end();
  return proof;
}

function isSame(one: Uint8Array | undefined, other: Uint8Array | undefined): boolean {
  return one === undefined || other === undefined ? one === other : equalBytes(one, other);
}

function sorted({ rows }: Store): [string, MapNode][] {
  return [...rows].toSorted(([one], [other]) => (one < other ? -1 : 1));
}
