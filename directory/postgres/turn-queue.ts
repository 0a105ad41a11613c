import { POSTGRES_LOCK_MS, POSTGRES_TURNS } from "../../protocol/limits.ts";
import { busy } from "./asking.ts";

/** Turns of one process, one after the other. Who comes when too many wait, or waits for too long, is told to come back. */
export class TurnQueue {
  /** What lets each go on that waits; the oldest first. */
  readonly #waiting = new Set<() => void>();
  #isTaken = false;

  /** Runs `action` when its turn comes. @throws {UnavailableError} E_BUSY when it has none; what `action` throws. */
  async run<T>(action: () => Promise<T>): Promise<T> {
    if (this.#isTaken) await this.#wait();
    this.#isTaken = true;
    try {
      return await action();
    } finally {
      this.#next();
    }
  }

  /** Waits until nobody has a turn or waits for one. */
  async settled(): Promise<void> {
    while (this.#isTaken) await new Promise<void>((resolve) => this.#waiting.add(resolve)).then(() => this.#next());
  }

  #next(): void {
    const [goOn] = this.#waiting;
    this.#isTaken = goOn !== undefined;
    if (goOn === undefined) return;
    this.#waiting.delete(goOn);
    goOn();
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.size >= POSTGRES_TURNS) return reject(busy());
      const timer = setTimeout(() => {
        this.#waiting.delete(goOn);
        reject(busy());
      }, POSTGRES_LOCK_MS);
      const goOn = (): void => {
        clearTimeout(timer);
        resolve();
      };
      this.#waiting.add(goOn);
    });
  }
}
