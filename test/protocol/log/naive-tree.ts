import { createHash } from "node:crypto";

/** RFC 6962 section 2.1 word for word: recursive, over all leaves, and with nothing of ours. Ranges are remembered. */
export class NaiveTree {
  readonly #leaves: readonly Uint8Array[];
  readonly #roots = new Map<string, Uint8Array>();

  constructor(leaves: readonly Uint8Array[]) {
    this.#leaves = leaves;
  }

  /** MTH(D[begin:end]) */
  root(begin: number, end: number): Uint8Array {
    const name = `${begin}:${end}`;
    const known = this.#roots.get(name);
    if (known !== undefined) return known;
    const n = end - begin;
    let root: Uint8Array;
    if (n === 0) root = sha256();
    else if (n === 1) root = sha256(Uint8Array.of(0), this.#leaves[begin] as Uint8Array);
    else {
      const k = largestPowerOfTwoBelow(n);
      root = sha256(Uint8Array.of(1), this.root(begin, begin + k), this.root(begin + k, end));
    }
    this.#roots.set(name, root);
    return root;
  }

  /** PATH(m, D[begin:end]) */
  path(m: number, begin: number, end: number): Uint8Array[] {
    const n = end - begin;
    if (n === 1) return [];
    const k = largestPowerOfTwoBelow(n);
    return m < k
      ? [...this.path(m, begin, begin + k), this.root(begin + k, end)]
      : [...this.path(m - k, begin + k, end), this.root(begin, begin + k)];
  }

  /** PROOF(m, D[0:n]) */
  proof(m: number, n: number): Uint8Array[] {
    return this.#subproof(m, 0, n, true);
  }

  #subproof(m: number, begin: number, end: number, b: boolean): Uint8Array[] {
    const n = end - begin;
    if (m === n) return b ? [] : [this.root(begin, end)];
    const k = largestPowerOfTwoBelow(n);
    return m <= k
      ? [...this.#subproof(m, begin, begin + k, b), this.root(begin + k, end)]
      : [...this.#subproof(m - k, begin + k, end, false), this.root(begin, begin + k)];
  }
}

function largestPowerOfTwoBelow(n: number): number {
  return 2 ** Math.ceil(Math.log2(n) - 1);
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}
