import { POSTGRES_KEYS_AT_ONCE, POSTGRES_WAITING } from "../../protocol/limits.ts";
import { busy } from "./asking.ts";

interface Waiting<In, Out> {
  readonly item: In;
  readonly resolve: (result: Out) => void;
  readonly reject: (error: unknown) => void;
}

/** Does the same to many: what is added while it is under way goes together in the next. */
export class Gathered<In, Out> {
  readonly #action: (items: readonly In[]) => Promise<readonly Out[]>;
  readonly #waiting: Waiting<In, Out>[] = [];
  #running: Promise<void> | undefined;

  /** `action` gives one result for each item, in their order. */
  constructor(action: (items: readonly In[]) => Promise<readonly Out[]>) {
    this.#action = action;
  }

  /** @throws {UnavailableError} E_BUSY; what the action throws. */
  add(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= POSTGRES_WAITING) return reject(busy());
      this.#waiting.push({ item, resolve, reject });
      this.#running ??= this.#run();
    });
  }

  /** Waits until nothing is under way or waiting, however it ended. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await new Promise(setImmediate);
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting.splice(0, POSTGRES_KEYS_AT_ONCE);
      try {
        const results = await this.#action(waiting.map(({ item }) => item));
        for (const [at, { resolve }] of waiting.entries()) resolve(results[at] as Out);
      } catch (error) {
        for (const { reject } of waiting) reject(error);
      }
    }
    this.#running = undefined;
  }
}
