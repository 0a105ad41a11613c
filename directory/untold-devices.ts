import { BROKER_RETRY_MS, BROKER_UNTOLD_MS, BROKER_WAITING } from "../protocol/limits.ts";
import { retryDelay } from "../protocol/retry-delay.ts";
import { bindingSubject } from "../protocol/statements.ts";
import type { Party } from "./presence.ts";

interface Options {
  /** Asks a device to say hello, by which it is told all that counts. */
  readonly ask: (party: Party) => Promise<void>;
  /** Whether there is a way to ask now. */
  readonly canAsk: () => boolean;
  readonly failed: (error: unknown) => void;
}

/** Devices at the broker that could not be told something: each is asked to say hello, as soon as that can be done. */
export class UntoldDevices implements AsyncDisposable {
  readonly #options: Options;
  readonly #parties = new Map<string, Party>();
  #timer: NodeJS.Timeout | undefined;
  /** How often they were asked in a row, of late. */
  #asked = 0;
  /** When the last of them were asked, monotonic ms. */
  #askedAt = -Infinity;
  #isAsking = false;
  #asking: Promise<void> = Promise.resolve();
  #isOver = false;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Beyond BROKER_WAITING nothing is noted: those hear of it with their hourly hello. */
  add(party: Party): void {
    if (this.#parties.size < BROKER_WAITING) this.#parties.set(bindingSubject(party), party);
    this.#plan();
  }

  /** The broker serves again, here or by another directory. */
  connected(): void {
    this.#asked = 0;
    this.#begin();
  }

  /** There is still somebody who can ask: the waits between failures stay what they are. */
  mayGoOn(): void {
    this.#plan();
  }

  /** Asks nobody any more, once who is being asked has been. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    clearTimeout(this.#timer);
    await this.#asking;
  }

  #plan(): void {
    if (this.#isOver || this.#isAsking || this.#timer !== undefined) return;
    if (this.#parties.size === 0 || !this.#options.canAsk()) return;
    if (performance.now() - this.#askedAt > 2 * BROKER_RETRY_MS) this.#asked = 0;
    const wait = retryDelay(this.#asked++, 1, { first: BROKER_UNTOLD_MS, limit: BROKER_RETRY_MS });
    this.#timer = setTimeout(() => this.#begin(), wait).unref();
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#isAsking) return;
    this.#isAsking = true;
    this.#asking = this.#ask();
  }

  async #ask(): Promise<void> {
    const { ask, canAsk, failed } = this.#options;
    for (const [subject, party] of [...this.#parties]) {
      if (this.#isOver || !canAsk()) break;
      this.#parties.delete(subject);
      try {
        await ask(party);
      } catch (error) {
        failed(error);
        this.#parties.set(subject, party);
      }
    }
    this.#askedAt = performance.now();
    this.#isAsking = false;
    this.#plan();
  }
}
