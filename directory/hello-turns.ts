import { HELLO_TURN_MS, HELLOS_AT_ONCE } from "../protocol/limits.ts";

/** A link whose hello has come. */
export interface Waiting {
  /** Judges the hello and answers it; never rejects. */
  takeTurn(): Promise<void>;
  /** Its turn comes too late. */
  terminate(): void;
}

/**
 * The order in which hellos are judged, some at a time. Judging one takes a millisecond of the processor, so a herd of devices
 * that come back at once has to wait; requests are answered in between, and who has given up meanwhile costs nothing. Times are
 * monotonic milliseconds.
 */
export class HelloTurns {
  /** With the time until which its device waits; the first that came is the first. */
  readonly #waiting = new Map<Waiting, number>();
  #taken = 0;

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  add(link: Waiting, now: number): void {
    this.#waiting.set(link, now + HELLO_TURN_MS);
    this.#next();
  }

  /** It waits no longer. */
  remove(link: Waiting): void {
    this.#waiting.delete(link);
  }

  /** Ends those whose device cannot be there any more, though a network in between may have kept that to itself. */
  sweep(now: number): void {
    for (const [link, until] of this.#waiting) {
      if (now < until) return;
      this.#waiting.delete(link);
      link.terminate();
    }
  }

  #next(): void {
    for (const link of this.#waiting.keys()) {
      if (this.#taken >= HELLOS_AT_ONCE) return;
      this.#waiting.delete(link);
      this.#taken += 1;
      void link.takeTurn().finally(() => {
        this.#taken -= 1;
        this.#next();
      });
    }
  }
}
