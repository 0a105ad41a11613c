import { HELLOS_AT_ONCE } from "../protocol/limits.ts";

/** A link whose hello has come. */
export interface Waiting {
  /** Judges the hello and answers it; never rejects. */
  takeTurn(): Promise<void>;
}

/**
 * The order in which hellos are judged, some at a time. Judging one takes a millisecond of the processor, so a herd of devices
 * that come back at once has to wait; requests are answered in between, and who has given up meanwhile costs nothing.
 */
export class HelloTurns {
  readonly #waiting = new Set<Waiting>();
  #taken = 0;

  add(link: Waiting): void {
    this.#waiting.add(link);
    this.#next();
  }

  /** It waits no longer. */
  remove(link: Waiting): void {
    this.#waiting.delete(link);
  }

  #next(): void {
    for (const link of this.#waiting) {
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
