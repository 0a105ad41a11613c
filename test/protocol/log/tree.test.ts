import { describe, expect, test } from "vitest";
import { hex, utf8 } from "../../../keys/bytes.ts";
import {
  Frontier,
  leafHash,
  type NodeId,
  planConsistency,
  planInclusion,
  type ProofPlan,
  verifyConsistency,
  verifyInclusion,
} from "../../../protocol/log/tree.ts";
import { nativeSuite } from "../../../protocol/suite/native.ts";
import { repeatableRandom } from "../fixtures.ts";
import { NaiveTree } from "./naive-tree.ts";
import { expectLogRefusal } from "./refusal.ts";

const SIZES = 200;
/** Seconds on a quiet machine. */
const TIMEOUT_MS = 180_000;
const suite = nativeSuite;
const leaves = Array.from({ length: SIZES }, (_, index) => utf8(`leaf ${index}`));
const naive = new NaiveTree(leaves);

/** What a log's store holds: every complete subtree, by level and index. */
const stored = new Map<string, Uint8Array>();
const frontiers = [Frontier.EMPTY];
for (const leaf of leaves) {
  const { frontier, nodes } = (frontiers.at(-1) ?? Frontier.EMPTY).append(suite, leafHash(suite, leaf));
  for (const node of nodes) {
    expect(stored.has(nameOf(node))).toBe(false);
    stored.set(nameOf(node), node.hash);
  }
  frontiers.push(frontier);
}

function nameOf({ level, index }: NodeId): string {
  return `${level}/${index}`;
}

function read(nodes: readonly NodeId[]): Uint8Array[] {
  return nodes.map((node) => stored.get(nameOf(node)) ?? new Uint8Array(0));
}

function proofOf(plan: ProofPlan): Uint8Array[] {
  return plan.complete(suite, read(plan.nodes));
}

const inclusionOf = (index: number, size: number) => ({
  index,
  size,
  leafHash: leafHash(suite, leaves[index] as Uint8Array),
  root: naive.root(0, size),
  proof: proofOf(planInclusion(index, size)),
});

const consistencyOf = (oldSize: number, newSize: number) => ({
  oldSize,
  oldRoot: naive.root(0, oldSize),
  newSize,
  newRoot: naive.root(0, newSize),
  proof: proofOf(planConsistency(oldSize, newSize)),
});

describe("a tree that grows leaf by leaf", () => {
  test("has the root that RFC 6962 defines, at every size up to 200", () => {
    for (const [size, frontier] of frontiers.entries()) {
      expect(frontier.size).toBe(size);
      expect(hex(frontier.root(suite))).toBe(hex(naive.root(0, size)));
    }
  });

  test("stores every complete subtree once, when it is completed", () => {
    expect(stored.size).toBe(200 + 100 + 50 + 25 + 12 + 6 + 3 + 1);
    for (const [name, hash] of stored) {
      const [level = 0, index = 0] = name.split("/").map(Number);
      expect(hex(hash)).toBe(hex(naive.root(index * 2 ** level, (index + 1) * 2 ** level)));
    }
  });

  test("can be continued from what is stored, at every size", () => {
    for (let size = 0; size < SIZES; size++) {
      const again = Frontier.of(size, read(Frontier.idsOf(size)));
      const { frontier, nodes } = again.append(suite, leafHash(suite, leaves[size] as Uint8Array));
      expect(frontier).toEqual(frontiers[size + 1]);
      expect(nodes.map((node) => hex(node.hash))).toEqual(read(nodes).map(hex));
    }
  });

  test("is not changed by appending", () => {
    const before = Frontier.of(3, read(Frontier.idsOf(3)));
    before.append(suite, new Uint8Array(32));
    expect(before).toEqual(frontiers[3]);
  });

  test("takes no number of hashes but its own, and no size that is none", () => {
    expect(() => Frontier.of(3, [new Uint8Array(32)])).toThrow(RangeError);
    for (const size of [-1, 0.5, Number.NaN, 2 ** 53]) expect(() => Frontier.idsOf(size)).toThrow(RangeError);
    const full = Frontier.of(
      2 ** 53 - 1,
      Frontier.idsOf(2 ** 53 - 1).map(() => new Uint8Array(32)),
    );
    expect(full.hashes).toHaveLength(53);
    expect(() => full.append(suite, new Uint8Array(32))).toThrow(RangeError);
  });
});

test(
  "every leaf of every tree up to 200 leaves is proved as RFC 6962 says, and no other leaf by that proof",
  () => {
    for (let size = 1; size <= SIZES; size++) {
      for (let index = 0; index < size; index++) {
        const claim = inclusionOf(index, size);
        expect(printed(claim.proof)).toBe(printed(naive.path(index, 0, size)));
        verifyInclusion(suite, claim);
        if (size > 1) {
          const other = leafHash(suite, leaves[(index + 1) % size] as Uint8Array);
          expectLogRefusal(() => verifyInclusion(suite, { ...claim, leafHash: other }));
          expectLogRefusal(() => verifyInclusion(suite, { ...claim, index: index ^ 1 }));
        }
      }
    }
  },
  TIMEOUT_MS,
);

test(
  "every two sizes up to 200 are proved consistent as RFC 6962 says, and not the wrong way round",
  () => {
    for (let newSize = 1; newSize <= SIZES; newSize++) {
      for (let oldSize = 1; oldSize <= newSize; oldSize++) {
        const claim = consistencyOf(oldSize, newSize);
        expect(printed(claim.proof)).toBe(printed(naive.proof(oldSize, newSize)));
        verifyConsistency(suite, claim);
        if (oldSize === newSize) continue;
        const { oldRoot, newRoot } = claim;
        expectLogRefusal(() => verifyConsistency(suite, { ...claim, oldRoot: newRoot }));
        expectLogRefusal(() => verifyConsistency(suite, { ...claim, newRoot: oldRoot }));
        expectLogRefusal(() => verifyConsistency(suite, { ...claim, oldSize: newSize, newSize: oldSize }));
      }
    }
  },
  TIMEOUT_MS,
);

// A size is bound by its checkpoint's signature. A proof alone says of it no more than on which sides its hashes stand.
test(
  "a proof holds for another place or size only where its hashes would stand on the same sides",
  () => {
    const most = 16;
    let accepted = 0;
    const expectVerdict = (isSame: boolean, verify: () => void): void => {
      if (!isSame) return expectLogRefusal(verify);
      verify();
      accepted++;
    };
    for (let size = 1; size <= most; size++) {
      for (let index = 0; index < size; index++) {
        const inclusion = inclusionOf(index, size);
        const consistency = consistencyOf(index + 1, size);
        for (let other = 1; other <= most; other++) {
          for (let place = 0; place < other; place++) {
            const path = { ...inclusion, index: place, size: other };
            expectVerdict(sidesOfPath(index, size) === sidesOfPath(place, other), () => verifyInclusion(suite, path));
            if (index + 1 === size || place + 1 === other) continue; // From a size to itself there is nothing to place.
            const proof = { ...consistency, oldSize: place + 1, newSize: other };
            const isSame = sidesOfProof(index + 1, size) === sidesOfProof(place + 1, other);
            expectVerdict(isSame, () => verifyConsistency(suite, proof));
          }
        }
      }
    }
    expect(accepted).toBeGreaterThan(300);
  },
  TIMEOUT_MS,
);

/** Of PATH(m, D[n]), leaf first: on which side of the way each hash stands. */
function sidesOfPath(m: number, n: number): string {
  if (n === 1) return "";
  const k = 2 ** Math.ceil(Math.log2(n) - 1);
  return m < k ? `${sidesOfPath(m, k)}r` : `${sidesOfPath(m - k, n - k)}l`;
}

/** Of SUBPROOF(m, D[n], b), the same; "o" is the old tree's own last subtree. */
function sidesOfProof(m: number, n: number, b = true): string {
  if (m === n) return b ? "" : "o";
  const k = 2 ** Math.ceil(Math.log2(n) - 1);
  return m <= k ? `${sidesOfProof(m, k, b)}r` : `${sidesOfProof(m - k, n - k, false)}l`;
}

/** All that comes of `values` by flipping one bit of one of them; of each value only one bit where `random` is given. */
function* flipped(values: readonly Uint8Array[], random?: (length: number) => Uint8Array): Generator<Uint8Array[]> {
  for (const [at, value] of values.entries()) {
    const bits = random === undefined ? Array.from({ length: 256 }, (_, bit) => bit) : [random(1)[0] ?? 0];
    for (const bit of bits) {
      const other = value.slice();
      other[bit >> 3] = (other[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      yield values.with(at, other);
    }
  }
}

function expectRefusedWithAnyFlip(size: number, random?: (length: number) => Uint8Array): number {
  let tried = 0;
  for (let at = 1; at <= size; at++) {
    const inclusion = inclusionOf(at - 1, size);
    for (const [leaf, root, ...proof] of flipped([inclusion.leafHash, inclusion.root, ...inclusion.proof], random)) {
      const claim = { ...inclusion, leafHash: leaf as Uint8Array, root: root as Uint8Array, proof };
      expectLogRefusal(() => verifyInclusion(suite, claim));
      tried++;
    }
    const consistency = consistencyOf(at, size);
    const { oldRoot, newRoot } = consistency;
    for (const [before, after, ...proof] of flipped([oldRoot, newRoot, ...consistency.proof], random)) {
      const claim = { ...consistency, oldRoot: before as Uint8Array, newRoot: after as Uint8Array, proof };
      expectLogRefusal(() => verifyConsistency(suite, claim));
      tried++;
    }
  }
  return tried;
}

describe("a proof of the tree is refused when it has", { timeout: TIMEOUT_MS }, () => {
  test("any one bit flipped in any part, for trees up to 7 leaves", () => {
    for (let size = 1; size <= 7; size++) expect(expectRefusedWithAnyFlip(size)).toBeGreaterThan(500);
  });

  test("one bit flipped in each part, for trees up to 200 leaves", () => {
    const random = repeatableRandom("flips");
    for (let size = 1; size <= SIZES; size += 7) expect(expectRefusedWithAnyFlip(size, random)).toBeGreaterThan(size);
  });

  test("a hash too few, too many, twice, or in another place", () => {
    for (let size = 3; size <= 33; size++) {
      for (let at = 1; at < size; at++) {
        const inclusion = inclusionOf(at, size);
        const consistency = consistencyOf(at, size);
        for (const proof of spoiled(inclusion.proof)) {
          expectLogRefusal(() => verifyInclusion(suite, { ...inclusion, proof }));
        }
        for (const proof of spoiled(consistency.proof)) {
          expectLogRefusal(() => verifyConsistency(suite, { ...consistency, proof }));
        }
      }
    }
  });

  test("more than 63 hashes, or one that is not 32 bytes", () => {
    const inclusion = inclusionOf(3, 7);
    const consistency = consistencyOf(3, 7);
    const long = Array.from({ length: 64 }, () => new Uint8Array(32));
    expect(() => verifyInclusion(suite, { ...inclusion, proof: long })).toThrow("a proof of the log is too long");
    expect(() => verifyConsistency(suite, { ...consistency, proof: long })).toThrow("a proof of the log is too long");
    for (const length of [0, 31, 33]) {
      const bytes = new Uint8Array(length);
      for (const part of ["leafHash", "root"]) {
        expect(() => verifyInclusion(suite, { ...inclusion, [part]: bytes })).toThrow(/32 bytes/);
      }
      for (const part of ["oldRoot", "newRoot"]) {
        expect(() => verifyConsistency(suite, { ...consistency, [part]: bytes })).toThrow(/32 bytes/);
      }
      expect(() => verifyInclusion(suite, { ...inclusion, proof: inclusion.proof.with(0, bytes) })).toThrow(/32 bytes/);
      expect(() => verifyConsistency(suite, { ...consistency, proof: consistency.proof.with(0, bytes) })).toThrow(
        /32 bytes/,
      );
    }
  });

  test("sizes or indexes that are none, or of no such tree", () => {
    const inclusion = inclusionOf(3, 7);
    for (const index of [-1, 7, 8, 0.5, Number.NaN, Infinity, 2 ** 53, 2 ** 64]) {
      expectLogRefusal(() => verifyInclusion(suite, { ...inclusion, index }));
      expect(() => planInclusion(index, 7)).toThrow(RangeError);
    }
    for (const size of [-1, 0, 3, 0.5, Number.NaN, Infinity, 2 ** 53, 2 ** 64]) {
      expectLogRefusal(() => verifyInclusion(suite, { ...inclusion, size }));
    }
    const consistency = consistencyOf(3, 7);
    for (const size of [-1, 0, 8, 2.5, Number.NaN, Infinity, 2 ** 53, 2 ** 64]) {
      expectLogRefusal(() => verifyConsistency(suite, { ...consistency, oldSize: size }));
      expect(() => planConsistency(size, 7)).toThrow(RangeError);
    }
    for (const size of [-1, 0, 2, 2.5, Number.NaN, Infinity, 2 ** 53, 2 ** 64]) {
      expectLogRefusal(() => verifyConsistency(suite, { ...consistency, newSize: size }));
      expect(() => planConsistency(3, size)).toThrow(RangeError);
    }
  });
});

test("the same size is consistent with itself by nothing, and by nothing else", () => {
  for (const size of [1, 2, 7]) {
    const claim = consistencyOf(size, size);
    expect(claim.proof).toEqual([]);
    expectLogRefusal(() => verifyConsistency(suite, { ...claim, newRoot: naive.root(0, 9) }));
    expectLogRefusal(() => verifyConsistency(suite, { ...claim, proof: [claim.newRoot] }));
  }
});

test("a plan is completed by exactly its nodes", () => {
  const plan = planInclusion(2, 7);
  expect(plan.nodes.map(nameOf)).toEqual(["0/3", "1/0", "1/2", "0/6"]);
  expect(() => plan.complete(suite, read(plan.nodes).slice(1))).toThrow(RangeError);
  expect(() => plan.complete(suite, [...read(plan.nodes), new Uint8Array(32)])).toThrow(RangeError);
});

describe("in a tree of 2^53 - 1 leaves that are all alike", () => {
  const size = 2 ** 53 - 1;
  const hashes = [leafHash(suite, utf8("alike"))];
  for (let level = 1; level <= 53; level++) {
    const below = hashes[level - 1] as Uint8Array;
    hashes.push(suite.sha256(Uint8Array.of(1), below, below));
  }
  const alike = (nodes: readonly NodeId[]): Uint8Array[] => nodes.map(({ level }) => hashes[level] as Uint8Array);
  const rootOf = (leafCount: number): Uint8Array =>
    Frontier.of(leafCount, alike(Frontier.idsOf(leafCount))).root(suite);

  test.each([0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 52, size - 1])("leaf %i is proved", (index) => {
    const plan = planInclusion(index, size);
    const proof = plan.complete(suite, alike(plan.nodes));
    const claim = { index, size, leafHash: hashes[0] as Uint8Array, root: rootOf(size), proof };
    verifyInclusion(suite, claim);
    expectLogRefusal(() => verifyInclusion(suite, { ...claim, root: rootOf(size - 1) }));
  });

  test.each([1, 2 ** 31, 2 ** 32 - 1, 2 ** 52, 2 ** 52 + 1, size - 1])("size %i is proved consistent", (oldSize) => {
    const plan = planConsistency(oldSize, size);
    const proof = plan.complete(suite, alike(plan.nodes));
    const claim = { oldSize, newSize: size, oldRoot: rootOf(oldSize), newRoot: rootOf(size), proof };
    verifyConsistency(suite, claim);
    expectLogRefusal(() => verifyConsistency(suite, { ...claim, oldRoot: hashes[5] as Uint8Array }));
  });
});

function spoiled(proof: readonly Uint8Array[]): Uint8Array[][] {
  const others = [proof.slice(1), proof.slice(0, -1), [...proof, new Uint8Array(32)], [new Uint8Array(32), ...proof]];
  others.push([...proof, ...proof.slice(-1)], proof.toReversed());
  return others.filter((other) => printed(other) !== printed(proof));
}

function printed(hashes: readonly Uint8Array[]): string {
  return hashes.map((hash) => Buffer.from(hash).toString("base64")).join(" ");
}
