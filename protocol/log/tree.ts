/**
 * The Merkle tree of RFC 6962 section 2.1 over SHA-256; proofs are verified as RFC 9162 sections 2.1.3.2 and 2.1.4.2 say.
 * Sizes and indexes are safe integers, so a tree has at most 2^53 - 1 leaves.
 */
import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { assert, SecurityError } from "../../keys/errors.ts";
import { TREE_PROOF_HASHES } from "../limits.ts";

export type Hashing = Pick<CipherSuite, "sha256">;

/** The complete subtree of 2^level leaves that begins at leaf index * 2^level. */
export interface NodeId {
  readonly level: number;
  readonly index: number;
}

export interface TreeNode extends NodeId {
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** SHA-256(0x00 || leaf), 32 bytes. */
export function leafHash(suite: Hashing, leaf: Uint8Array): Uint8Array {
  return suite.sha256(LEAF, leaf);
}

/** SHA-256(0x01 || left || right), 32 bytes. */
export function nodeHash(suite: Hashing, left: Uint8Array, right: Uint8Array): Uint8Array {
  return suite.sha256(NODE, left, right);
}

/** The root of the tree without leaves: SHA-256 of nothing. */
export function emptyRoot(suite: Hashing): Uint8Array {
  return suite.sha256();
}

/** The right edge of a tree: the largest complete subtrees it consists of, which is all that appending needs. Immutable. */
export class Frontier {
  static readonly EMPTY = new Frontier(0, []);

  readonly size: number;
  /** 32 bytes each, those of {@link Frontier.idsOf}. */
  readonly hashes: readonly Uint8Array[];

  private constructor(size: number, hashes: readonly Uint8Array[]) {
    this.size = size;
    this.hashes = hashes;
  }

  /** The complete subtrees that a tree of `size` leaves consists of, largest first. @throws {RangeError} for no size. */
  static idsOf(size: number): NodeId[] {
    if (!isCount(size)) throw new RangeError("not the size of a tree");
    return completeSubtrees(0, size);
  }

  /** From the hashes of {@link Frontier.idsOf}(size). @throws {RangeError} when there are not as many. */
  static of(size: number, hashes: readonly Uint8Array[]): Frontier {
    if (Frontier.idsOf(size).length !== hashes.length)
      throw new RangeError("not the right edge of a tree of that size");
    return new Frontier(size, [...hashes]);
  }

  /** The frontier with one leaf more, and every complete subtree that this leaf completes, itself first. */
  append(suite: Hashing, hash: Uint8Array): { frontier: Frontier; nodes: TreeNode[] } {
    if (!isCount(this.size + 1)) throw new RangeError("a tree cannot grow beyond 2^53 - 1 leaves");
    const hashes = [...this.hashes];
    let node: TreeNode = { level: 0, index: this.size, hash };
    const nodes = [node];
    while (isOdd(node.index)) {
      const left = hashes.pop();
      assert(left !== undefined, "a right child has a left one");
      node = { level: node.level + 1, index: half(node.index), hash: nodeHash(suite, left, node.hash) };
      nodes.push(node);
    }
    return { frontier: new Frontier(this.size + 1, [...hashes, node.hash]), nodes };
  }

  /** The root of the tree, 32 bytes. */
  root(suite: Hashing): Uint8Array {
    return this.size === 0 ? emptyRoot(suite) : folded(suite, this.hashes);
  }
}

/** Which nodes a proof is made of. A part of a proof that is no complete subtree is folded from several. */
export class ProofPlan {
  /** What to read. */
  readonly nodes: readonly NodeId[];
  /** How many of them, in order, each hash of the proof is folded from. */
  readonly #counts: readonly number[];

  constructor(parts: readonly (readonly NodeId[])[]) {
    this.nodes = parts.flat();
    this.#counts = parts.map((part) => part.length);
  }

  /** The proof, from the hashes of {@link nodes} in the same order. @throws {RangeError} when there are not as many. */
  complete(suite: Hashing, hashes: readonly Uint8Array[]): Uint8Array[] {
    if (hashes.length !== this.nodes.length) throw new RangeError("not the hashes of the plan's nodes");
    let begin = 0;
    return this.#counts.map((count) => folded(suite, hashes.slice(begin, (begin += count))));
  }
}

/** PATH(index, D[size]) of RFC 6962 section 2.1.1. @throws {RangeError} unless 0 <= index < size. */
export function planInclusion(index: number, size: number): ProofPlan {
  if (!isCount(index) || !isCount(size) || index >= size) throw new RangeError("not a leaf of a tree of that size");
  const parts: NodeId[][] = [];
  for (let begin = 0, end = size; end - begin > 1; ) {
    const middle = begin + largestPowerBelow(end - begin);
    if (index < middle) {
      parts.push(completeSubtrees(middle, end));
      end = middle;
    } else {
      parts.push(completeSubtrees(begin, middle));
      begin = middle;
    }
  }
  return new ProofPlan(parts.toReversed());
}

/** PROOF(oldSize, D[newSize]) of RFC 6962 section 2.1.2. @throws {RangeError} unless 1 <= oldSize <= newSize. */
export function planConsistency(oldSize: number, newSize: number): ProofPlan {
  if (!isCount(oldSize) || !isCount(newSize) || oldSize === 0 || oldSize > newSize) {
    throw new RangeError("not two sizes of a growing tree");
  }
  const parts: NodeId[][] = [];
  let begin = 0;
  for (let end = newSize; oldSize < end; ) {
    const middle = begin + largestPowerBelow(end - begin);
    if (oldSize <= middle) {
      parts.push(completeSubtrees(middle, end));
      end = middle;
    } else {
      parts.push(completeSubtrees(begin, middle));
      begin = middle;
    }
  }
  // The old tree's own last subtree, which the verifier does not know unless it is the whole old tree.
  if (begin > 0) parts.push(completeSubtrees(begin, oldSize));
  return new ProofPlan(parts.toReversed());
}

/**
 * Demands that the leaf with hash `leafHash` stands at `index` of the tree of `size` leaves with root `root`.
 * @throws {SecurityError} E_LOG when `proof` does not prove it, or when anything is out of range.
 */
export function verifyInclusion(
  suite: Hashing,
  claim: {
    readonly index: number;
    readonly size: number;
    readonly leafHash: Uint8Array;
    readonly root: Uint8Array;
    readonly proof: readonly Uint8Array[];
  },
): void {
  const { index, size, root, proof } = claim;
  if (!isCount(index) || !isCount(size) || index >= size) throw new SecurityError("E_LOG", "a leaf is not in its tree");
  demandHashes([claim.leafHash, root], proof);
  let [node, last, hash] = [index, size - 1, claim.leafHash];
  for (const sibling of proof) {
    if (last === 0) throw new SecurityError("E_LOG", "a proof of inclusion is too long");
    if (isOdd(node) || node === last) {
      hash = nodeHash(suite, sibling, hash);
      [node, last] = upToRightChild(node, last);
    } else {
      hash = nodeHash(suite, hash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0 || !equalBytes(hash, root)) throw new SecurityError("E_LOG", "a proof of inclusion does not hold");
}

/**
 * Demands that the tree of `newSize` leaves begins with all leaves of the tree of `oldSize` leaves. From size 0 nothing can
 * be proved, so it is refused.
 * @throws {SecurityError} E_LOG when `proof` does not prove it, or when anything is out of range.
 */
export function verifyConsistency(
  suite: Hashing,
  claim: {
    readonly oldSize: number;
    readonly oldRoot: Uint8Array;
    readonly newSize: number;
    readonly newRoot: Uint8Array;
    readonly proof: readonly Uint8Array[];
  },
): void {
  const { oldSize, oldRoot, newSize, newRoot, proof } = claim;
  if (!isCount(oldSize) || !isCount(newSize) || oldSize === 0 || oldSize > newSize) {
    throw new SecurityError("E_LOG", "two sizes are not those of a growing tree");
  }
  if (oldSize === newSize) {
    if (proof.length > 0) throw new SecurityError("E_LOG", "a proof of consistency is too long");
    if (!equalBytes(oldRoot, newRoot)) throw new SecurityError("E_LOG", "two trees of one size have different roots");
    return;
  }
  demandHashes([oldRoot, newRoot], proof);
  const [first, ...others] = isPowerOfTwo(oldSize) ? [oldRoot, ...proof] : proof;
  if (first === undefined || proof.length === 0) throw new SecurityError("E_LOG", "a proof of consistency is empty");
  let [node, last] = [oldSize - 1, newSize - 1];
  while (isOdd(node)) [node, last] = [half(node), half(last)];
  let [oldHash, newHash] = [first, first];
  for (const sibling of others) {
    if (last === 0) throw new SecurityError("E_LOG", "a proof of consistency is too long");
    if (isOdd(node) || node === last) {
      oldHash = nodeHash(suite, sibling, oldHash);
      newHash = nodeHash(suite, sibling, newHash);
      [node, last] = upToRightChild(node, last);
    } else {
      newHash = nodeHash(suite, newHash, sibling);
    }
    [node, last] = [half(node), half(last)];
  }
  if (last !== 0 || !equalBytes(oldHash, oldRoot) || !equalBytes(newHash, newRoot)) {
    throw new SecurityError("E_LOG", "a proof of consistency does not hold");
  }
}

/** Up to the level at which the node is a right child; levels at which the last node has no sibling add nothing. */
function upToRightChild(node: number, last: number): [number, number] {
  while (node !== 0 && !isOdd(node)) [node, last] = [half(node), half(last)];
  return [node, last];
}

function demandHashes(values: readonly Uint8Array[], proof: readonly Uint8Array[]): void {
  if (proof.length > TREE_PROOF_HASHES) throw new SecurityError("E_LOG", "a proof of the log is too long");
  if ([...values, ...proof].some((hash) => hash.length !== 32)) {
    throw new SecurityError("E_LOG", "a hash of the log is not 32 bytes");
  }
}

/** The complete subtrees of the leaves from `begin` to `end`, largest first; `begin` is where a subtree as large may begin. */
function completeSubtrees(begin: number, end: number): NodeId[] {
  const ids: NodeId[] = [];
  for (let level = 52, start = begin; level >= 0; level--) {
    const leaves = 2 ** level;
    if (end - start >= leaves) {
      ids.push({ level, index: start / leaves });
      start += leaves;
    }
  }
  return ids;
}

/** The root of neighbouring subtrees, largest first and at least one. */
function folded(suite: Hashing, hashes: readonly Uint8Array[]): Uint8Array {
  return hashes.reduceRight((right, left) => nodeHash(suite, left, right));
}

function largestPowerBelow(size: number): number {
  let power = 1;
  while (power * 2 < size) power *= 2;
  return power;
}

function isPowerOfTwo(size: number): boolean {
  return largestPowerBelow(size) * 2 === size || size === 1;
}

function isCount(number: number): boolean {
  return Number.isSafeInteger(number) && number >= 0;
}

function isOdd(number: number): boolean {
  return number % 2 === 1;
}

function half(number: number): number {
  return Math.floor(number / 2);
}
