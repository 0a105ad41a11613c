import { ed25519 } from "@noble/curves/ed25519.js";
import { concat, hash, utf8 } from "./primitives.ts";

/** What is proved of a subject's newest statement, and to whom: somebody who has seen the checkpoint of that size. */
export type ProofRequest = { readonly subjects: readonly string[]; readonly since: number };

/**
 * A directory's log written out from RFC 6962 section 2.1, C2SP tlog-checkpoint and docs/protocol.md, sharing nothing with
 * the project's own: every root is computed from all leaves or entries below it.
 */
export class OracleLog {
  readonly #origin: string;
  readonly #seed: Uint8Array;
  readonly #leaves: Uint8Array[] = [];
  /** Subject to the hash of its newest statement. */
  readonly #newest = new Map<string, Uint8Array>();

  /** `seed`: of the log's Ed25519 key, 32 bytes. A log begins with one leaf, of the empty map. */
  constructor(origin: string, seed: Uint8Array) {
    this.#origin = origin;
    this.#seed = seed;
    this.append([]);
  }

  get size(): number {
    return this.#leaves.length;
  }

  /** Logs texts, each the newest on its subject, then the root of the map that they make. */
  append(statements: readonly { readonly subject: string; readonly text: string }[]): void {
    for (const { subject, text } of statements) {
      const textHash = hash(utf8(text));
      this.#leaves.push(concat(Uint8Array.of(1), textHash));
      this.#newest.set(subject, textHash);
    }
    this.#leaves.push(concat(Uint8Array.of(2), mapRoot(this.#entries(), 0)));
  }

  /** The signed note of the newest tree. */
  checkpoint(): string {
    const text = `${this.#origin}\n${this.size}\n${base64(treeHash(this.#leaves))}\n`;
    const publicKey = ed25519.getPublicKey(this.#seed);
    const keyId = hash(utf8(this.#origin), Uint8Array.of(0x0a, 1), publicKey).slice(0, 4);
    return `${text}\n— ${this.#origin} ${base64(concat(keyId, ed25519.sign(utf8(text), this.#seed)))}\n`;
  }

  /** An encoded log proof. */
  proof({ subjects, since }: ProofRequest): Uint8Array {
    const size = this.size;
    const headsRoot = mapRoot(this.#entries(), 0);
    return concat(
      prefixed(2, utf8(this.checkpoint())),
      headsRoot,
      hashes(path(size - 1, this.#leaves)),
      number(8, since),
      hashes(since === 0 || since === size ? [] : subproof(since, this.#leaves, true)),
      number(1, subjects.length),
      ...subjects.map((subject) => this.#mapProof(hash(utf8(subject)))),
    );
  }

  #entries(): Entry[] {
    return [...this.#newest].map(([subject, value]) => ({ key: hash(utf8(subject)), value }));
  }

  #mapProof(key: Uint8Array): Uint8Array {
    const siblings: Uint8Array[] = [];
    let below = this.#entries();
    while (below.length > 1) {
      const depth = siblings.length;
      siblings.push(
        mapRoot(
          below.filter((entry) => bit(entry.key, depth) !== bit(key, depth)),
          depth + 1,
        ),
      );
      below = below.filter((entry) => bit(entry.key, depth) === bit(key, depth));
    }
    const bitmap = new Uint8Array(Math.ceil(siblings.length / 8));
    siblings.forEach((sibling, at) => {
      if (!isZero(sibling)) bitmap[at >> 3] = (bitmap[at >> 3] ?? 0) | (128 >> (at % 8));
    });
    const [alone] = below;
    const other = alone === undefined || isEqual(alone.key, key) ? undefined : alone;
    return concat(
      number(2, siblings.length),
      bitmap,
      ...siblings.filter((sibling) => !isZero(sibling)),
      ...(other === undefined ? [Uint8Array.of(0)] : [Uint8Array.of(1), other.key, other.value]),
    );
  }
}

type Entry = { readonly key: Uint8Array; readonly value: Uint8Array };

function mapRoot(entries: readonly Entry[], depth: number): Uint8Array {
  const [first] = entries;
  if (first === undefined) return new Uint8Array(32);
  if (entries.length === 1) return hash(Uint8Array.of(2), first.key, first.value);
  const side = (of: number): Uint8Array =>
    mapRoot(
      entries.filter((entry) => bit(entry.key, depth) === of),
      depth + 1,
    );
  return hash(Uint8Array.of(3), side(0), side(1));
}

/** MTH(D) */
function treeHash(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves;
  if (first === undefined) return hash();
  if (leaves.length === 1) return hash(Uint8Array.of(0), first);
  const k = half(leaves.length);
  return hash(Uint8Array.of(1), treeHash(leaves.slice(0, k)), treeHash(leaves.slice(k)));
}

/** PATH(m, D) */
function path(m: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length === 1) return [];
  const k = half(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return m < k ? [...path(m, left), treeHash(right)] : [...path(m - k, right), treeHash(left)];
}

/** SUBPROOF(m, D, b) */
function subproof(m: number, leaves: readonly Uint8Array[], b: boolean): Uint8Array[] {
  if (m === leaves.length) return b ? [] : [treeHash(leaves)];
  const k = half(leaves.length);
  const [left, right] = [leaves.slice(0, k), leaves.slice(k)];
  return m <= k ? [...subproof(m, left, b), treeHash(right)] : [...subproof(m - k, right, false), treeHash(left)];
}

/** The largest power of two below n. */
function half(n: number): number {
  let k = 1;
  while (k * 2 < n) k *= 2;
  return k;
}

function bit(key: Uint8Array, depth: number): number {
  return ((key[depth >> 3] ?? 0) >> (7 - (depth % 8))) & 1;
}

function hashes(all: readonly Uint8Array[]): Uint8Array {
  return concat(number(1, all.length), ...all);
}

function prefixed(size: number, bytes: Uint8Array): Uint8Array {
  return concat(number(size, bytes.length), bytes);
}

/** Big-endian. */
function number(size: number, value: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => Math.floor(value / 256 ** (size - 1 - at)) % 256);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

function isEqual(one: Uint8Array, other: Uint8Array): boolean {
  return one.every((byte, at) => byte === other[at]);
}
