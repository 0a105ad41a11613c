import { utf8 } from "../../keys/bytes.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { signCheckpoint } from "../../protocol/log/checkpoint.ts";
import { Frontier, leafHash, planConsistency } from "../../protocol/log/tree.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";

/** A log of leaves 0, 1, 2...; one that was forked at a leaf has others from there on. */
export class LogTree {
  readonly #origin: string;
  readonly #key: Ed25519PrivateKey;
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #roots: Uint8Array[] = [];

  constructor(
    { origin, key }: { readonly origin: string; readonly key: Ed25519PrivateKey },
    size: number,
    forkedAt = Number.POSITIVE_INFINITY,
  ) {
    this.#origin = origin;
    this.#key = key;
    let frontier = Frontier.EMPTY;
    for (let i = 0; i < size; i++) {
      const grown = frontier.append(suite, leafHash(suite, utf8(i < forkedAt ? `leaf ${i}` : `other ${i}`)));
      frontier = grown.frontier;
      this.#roots.push(frontier.root(suite));
      for (const { level, index, hash } of grown.nodes) this.#nodes.set(`${level} ${index}`, hash);
    }
  }

  checkpoint(size: number): string {
    return signCheckpoint(suite, this.#key, {
      origin: this.#origin,
      size,
      root: this.#roots[size - 1] ?? suite.sha256(),
    });
  }

  consistency(oldSize: number, newSize: number): Uint8Array[] {
    if (oldSize === 0) return [];
    const plan = planConsistency(oldSize, newSize);
    return plan.complete(
      suite,
      plan.nodes.map(({ level, index }) => this.#nodes.get(`${level} ${index}`) ?? new Uint8Array(32)),
    );
  }
}
