import { UNREAD_ANSWERS } from "../protocol/limits.ts";
import { networkOf } from "../protocol/network-of.ts";
import type { ResponseStream } from "./response-stream.ts";

type Answer = Pick<ResponseStream, "cut">;

/**
 * Answers that stand still until their readers read. They are no work any more, so what bounds that does not bound them, and each
 * holds what its reader has not taken yet: of more than UNREAD_ANSWERS one is cut, of the address that has most of them the one that
 * has waited for longest.
 */
export class UnreadAnswers {
  /** The networks that they go to; the one that has waited for longest first. */
  readonly #networks = new Map<Answer, string>();
  readonly #onCut: () => void;

  /** `onCut` is called for each that is cut. */
  constructor(onCut: () => void) {
    this.#onCut = onCut;
  }

  get size(): number {
    return this.#networks.size;
  }

  /** Counts one that waits for its reader at `address`, until what this gives is called: it goes on, or has ended. */
  add(answer: Answer, address: string): () => void {
    this.#networks.set(answer, networkOf(address));
    if (this.#networks.size > UNREAD_ANSWERS) {
      this.#oldestOfMost()?.cut();
      this.#onCut();
    }
    return () => void this.#networks.delete(answer);
  }

  #oldestOfMost(): Answer | undefined {
    const oldest = new Map<string, { readonly answer: Answer; count: number }>();
    for (const [answer, network] of this.#networks) {
      const known = oldest.get(network);
      if (known === undefined) oldest.set(network, { answer, count: 1 });
      else known.count += 1;
    }
    const most = Math.max(...[...oldest.values()].map(({ count }) => count));
    return [...oldest.values()].find(({ count }) => count === most)?.answer;
  }
}
