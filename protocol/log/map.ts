/**
 * A sparse Merkle map from 32-byte keys to 32-byte values, path-compressed: a key's bits, the most significant bit of its
 * first byte first, lead from the root down, left for 0.
 *
 * ```
 * empty subtree                32 zero bytes
 * subtree with one entry       SHA-256(0x02 || key || value), at the shallowest depth at which it is alone
 * subtree with more            SHA-256(0x03 || left || right)
 * ```
 * So no node of it is a node of the log's tree (0x00, 0x01), and for one root every key has one answer: the way down is
 * fixed by the key, and each hash on it by the one before, whoever made the map.
 */
import { ByteReader, ByteWriter, equalBytes, hex, utf8 } from "../../keys/bytes.ts";
import { PeerError, SecurityError } from "../../keys/errors.ts";
import { MAP_DEPTH, MAP_TOP_DEPTHS } from "../limits.ts";
import type { HashedNodes, MapEntry, MapNode } from "./map-node.ts";
import type { Hashing } from "./tree.ts";

export interface MapProof {
  /** The hashes beside the key's way, 32 bytes each, from the root down. */
  readonly siblings: readonly Uint8Array[];
  /** The entry that stands where `key` would; only in proofs of absence. */
  readonly other: MapEntry | undefined;
}

/** The hash of an empty subtree, and the root of the empty map. */
export const EMPTY: Uint8Array = new Uint8Array(32);

const ENTRY = 2;
const BRANCH = 3;

/** The key under which the newest statement on `subject` is found: SHA-256 of its UTF-8. */
export function subjectKey(suite: Hashing, subject: string): Uint8Array {
  return suite.sha256(utf8(subject));
}

/** What a node's hash is made of, 65 bytes; it is stored as that. */
export function encodeMapNode(node: MapNode): Uint8Array {
  return node.kind === "branch"
    ? new ByteWriter().u8(BRANCH).raw(node.left).raw(node.right).done()
    : new ByteWriter().u8(ENTRY).raw(node.key).raw(node.value).done();
}

/** @throws {PeerError} E_PROTOCOL when it is not 65 bytes or of an unknown kind. */
export function parseMapNode(bytes: Uint8Array): MapNode {
  const reader = new ByteReader(bytes);
  const kind = reader.u8();
  const [first, second] = [reader.raw(32).slice(), reader.raw(32).slice()];
  reader.end();
  if (kind !== ENTRY && kind !== BRANCH) throw new PeerError("E_PROTOCOL", "a node of the map is of an unknown kind");
  return kind === ENTRY ? { kind: "entry", key: first, value: second } : { kind: "branch", left: first, right: second };
}

/** The name of the node at `depth` (0..256) on the way of `key`: the depth as 3 hex digits, then that many bits in hex. */
export function pathOf(key: Uint8Array, depth: number): string {
  const bits = key.slice(0, Math.ceil(depth / 8));
  if (depth % 8 > 0) bits[bits.length - 1] = (bits.at(-1) ?? 0) & (0xff << (8 - (depth % 8)));
  return depth.toString(16).padStart(3, "0") + hex(bits).slice(0, Math.ceil(depth / 4));
}

interface Walk {
  readonly siblings: Uint8Array[];
  /** Of the subtree that is reached. */
  hash: Uint8Array;
  entry: MapEntry | undefined;
  missing: string | undefined;
}

/**
 * That part of a map which lies on the ways of the keys in question. `rows` may grow: a shell puts rows into it until none
 * is missing. Each row must have the hash that its parent says, up to the root; every method
 * throws {SecurityError} E_LOG when one has not.
 */
export class MapRows {
  readonly #suite: Hashing;
  readonly #root: Uint8Array;
  readonly #rows: ReadonlyMap<string, MapNode>;
  readonly #hashed: HashedNodes | undefined;
  readonly #walks = new Map<string, Walk>();

  /** `hashed`: rows that need not be loaded nor hashed any more, which takes those near the root that are. */
  constructor(suite: Hashing, root: Uint8Array, rows: ReadonlyMap<string, MapNode>, hashed?: HashedNodes) {
    this.#suite = suite;
    this.#root = root;
    this.#rows = rows;
    this.#hashed = hashed;
  }

  /** The name of the first row on the way of `key` that is not there yet. */
  missing(key: Uint8Array): string | undefined {
    return this.#walk(key).missing;
  }

  /** The proof of what `key` has, or that it has nothing. @throws {RangeError} while a row is missing. */
  prove(key: Uint8Array): MapProof {
    const { siblings, entry, missing } = this.#walk(key);
    if (missing !== undefined) throw notLoaded(missing);
    return { siblings: [...siblings], other: entry === undefined || equalBytes(entry.key, key) ? undefined : entry };
  }

  /** What `key` has; undefined: nothing. @throws {RangeError} while a row is missing. */
  valueOf(key: Uint8Array): Uint8Array | undefined {
    const { entry, missing } = this.#walk(key);
    if (missing !== undefined) throw notLoaded(missing);
    return entry !== undefined && equalBytes(entry.key, key) ? entry.value : undefined;
  }

  /**
   * The map with `entries` put into it, of which the last counts for a key: its root, and all rows that change. Entries
   * never leave a map, so rows are only ever put.
   * @throws {RangeError} while a row on the way of one of the keys is missing.
   */
  update(entries: readonly MapEntry[]): { root: Uint8Array; rows: ReadonlyMap<string, MapNode> } {
    const rows = new Map<string, MapNode>();
    const lasting = [...new Map(entries.map((entry) => [pathOf(entry.key, MAP_DEPTH), entry])).values()];
    if (lasting.some(({ key, value }) => key.length !== 32 || value.length !== 32)) {
      throw new RangeError("keys and values of the map are 32 bytes");
    }
    return { root: this.#put(rows, 0, this.#root, lasting), rows };
  }

  /** Puts `entries` into the subtree at `depth` on their common way, whose hash is `before`, and gives its new hash. */
  #put(rows: Map<string, MapNode>, depth: number, before: Uint8Array, entries: readonly MapEntry[]): Uint8Array {
    const [first] = entries;
    if (first === undefined) return before;
    const path = pathOf(first.key, depth);
    const node = isEmpty(before) ? undefined : this.#rows.get(path);
    if (node === undefined && !isEmpty(before)) throw notLoaded(path);
    if (node !== undefined) this.#demandHash(node, before);
    let all = entries;
    if (node?.kind === "entry" && !entries.some(({ key }) => equalBytes(key, node.key))) {
      all = [...entries, { key: node.key, value: node.value }];
    }
    let after: MapNode = { kind: "entry", key: first.key, value: first.value };
    if (node?.kind === "branch" || all.length > 1) {
      const { left, right } = node?.kind === "branch" ? node : { left: EMPTY, right: EMPTY };
      after = {
        kind: "branch",
        left: this.#put(
          rows,
          depth + 1,
          left,
          all.filter(({ key }) => !isRight(key, depth)),
        ),
        right: this.#put(
          rows,
          depth + 1,
          right,
          all.filter(({ key }) => isRight(key, depth)),
        ),
      };
    }
    const hash = this.#hashOf(after);
    if (!equalBytes(hash, before)) rows.set(path, after);
    return hash;
  }

  /** As far as rows are there; from where it ended before, as a way is asked for once for each row that is loaded. */
  #walk(key: Uint8Array): Walk {
    if (key.length !== 32) throw new RangeError("a key of the map is 32 bytes");
    const name = hex(key);
    const walk = this.#walks.get(name) ?? { siblings: [], hash: this.#root, entry: undefined, missing: undefined };
    this.#walks.set(name, walk);
    walk.missing = undefined;
    while (walk.entry === undefined && !isEmpty(walk.hash)) {
      const depth = walk.siblings.length;
      const path = pathOf(key, depth);
      const node = this.#rowOf(path, depth, walk.hash);
      if (node === undefined) return Object.assign(walk, { missing: path });
      if (node.kind === "entry") {
        walk.entry = { key: node.key, value: node.value };
      } else {
        if (depth === MAP_DEPTH) throw new SecurityError("E_LOG", "a way in the map does not end");
        const { left, right } = node;
        walk.siblings.push(isRight(key, depth) ? left : right);
        walk.hash = isRight(key, depth) ? right : left;
      }
    }
    return walk;
  }

  /** The row with this name and hash. */
  #rowOf(path: string, depth: number, hash: Uint8Array): MapNode | undefined {
    const known = this.#hashed?.get(path);
    if (known !== undefined && equalBytes(known.hash, hash)) return known.node;
    const node = this.#rows.get(path);
    if (node === undefined) return undefined;
    this.#demandHash(node, hash);
    if (depth < MAP_TOP_DEPTHS) this.#hashed?.put(path, { node, hash });
    return node;
  }

  #demandHash(node: MapNode, hash: Uint8Array): void {
    if (!equalBytes(this.#hashOf(node), hash)) throw new SecurityError("E_LOG", "a row of the map is not its parent's");
  }

  #hashOf(node: MapNode): Uint8Array {
    return this.#suite.sha256(encodeMapNode(node));
  }
}

/**
 * Demands that `key` has `value` in the map with this root, or, with undefined, that it has none.
 * @throws {SecurityError} E_LOG when the proof does not prove it.
 */
export function verifyMapProof(
  suite: Hashing,
  root: Uint8Array,
  key: Uint8Array,
  value: Uint8Array | undefined,
  proof: MapProof,
): void {
  const { siblings, other } = proof;
  const depth = siblings.length;
  const parts = [root, key, value ?? EMPTY, other?.key ?? EMPTY, other?.value ?? EMPTY, ...siblings];
  if (depth > MAP_DEPTH || parts.some((part) => part.length !== 32)) {
    throw new SecurityError("E_LOG", "a proof of the map has a wrong size");
  }
  if (other !== undefined) {
    if (value !== undefined) throw new SecurityError("E_LOG", "a proof of the map is one of absence");
    if (equalBytes(other.key, key) || pathOf(other.key, depth) !== pathOf(key, depth)) {
      throw new SecurityError("E_LOG", "a proof of the map has an entry that says nothing of the key");
    }
  }
  // Beside an empty subtree an entry would not stand so deep, and nothing would not be split.
  const last = siblings.at(-1);
  if (last !== undefined && isEmpty(last)) throw new SecurityError("E_LOG", "a proof of the map is too long");
  const entry = value === undefined ? other : { key, value };
  let hash = entry === undefined ? EMPTY : suite.sha256(encodeMapNode({ kind: "entry", ...entry }));
  for (const [above, sibling] of siblings.toReversed().entries()) {
    const [left, right] = isRight(key, depth - 1 - above) ? [sibling, hash] : [hash, sibling];
    hash = suite.sha256(encodeMapNode({ kind: "branch", left, right }));
  }
  if (!equalBytes(hash, root)) throw new SecurityError("E_LOG", "a proof of the map does not hold");
}

/**
 * u16 depth, a bitmap (first sibling first, high bit first) of those that are not empty, these, u8 0 or 1, the other entry.
 * @throws {RangeError} when {@link readMapProof} would not take it.
 */
export function writeMapProof(writer: ByteWriter, { siblings, other }: MapProof): void {
  const parts = other === undefined ? siblings : [...siblings, other.key, other.value];
  if (siblings.length > MAP_DEPTH || parts.some((part) => part.length !== 32)) {
    throw new RangeError("not a proof of the map");
  }
  const bitmap = new Uint8Array(Math.ceil(siblings.length / 8));
  const present = siblings.filter((sibling, at) => {
    if (isEmpty(sibling)) return false;
    bitmap[at >> 3] = (bitmap[at >> 3] ?? 0) | (0x80 >> (at & 7));
    return true;
  });
  writer.u16(siblings.length).raw(bitmap);
  for (const sibling of present) writer.raw(sibling);
  writer.u8(other === undefined ? 0 : 1);
  if (other !== undefined) writer.raw(other.key).raw(other.value);
}

/** One proof has one encoding. @throws {PeerError} E_PROTOCOL for anything else. */
export function readMapProof(reader: ByteReader): MapProof {
  const depth = reader.u16();
  if (depth > MAP_DEPTH) throw new PeerError("E_PROTOCOL", "a proof of the map is too long");
  const bitmap = reader.raw(Math.ceil(depth / 8));
  const isPresent = (at: number): boolean => isRight(bitmap, at);
  for (let at = depth; at < 8 * bitmap.length; at++) {
    if (isPresent(at)) throw new PeerError("E_PROTOCOL", "a proof of the map has bits that say nothing");
  }
  const siblings = Array.from({ length: depth }, (_, at) => {
    if (!isPresent(at)) return EMPTY;
    const sibling = reader.raw(32).slice();
    if (isEmpty(sibling)) throw new PeerError("E_PROTOCOL", "a proof of the map says twice that a subtree is empty");
    return sibling;
  });
  const hasOther = reader.u8();
  if (hasOther > 1) throw new PeerError("E_PROTOCOL", "a proof of the map is malformed");
  const other = hasOther === 1 ? { key: reader.raw(32).slice(), value: reader.raw(32).slice() } : undefined;
  return { siblings, other };
}

function isRight(bits: Uint8Array, depth: number): boolean {
  return ((bits[depth >> 3] ?? 0) & (0x80 >> (depth & 7))) !== 0;
}

function isEmpty(hash: Uint8Array): boolean {
  return equalBytes(hash, EMPTY);
}

function notLoaded(path: string): RangeError {
  return new RangeError(`row ${path} of the map is not loaded`);
}
