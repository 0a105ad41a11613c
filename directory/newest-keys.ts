import { KEYS_LOOK_MS } from "../protocol/limits.ts";
import type { Clock } from "./clock.ts";
import type { Keyring } from "./keyring.ts";

interface Options {
  readonly keyring: Pick<Keyring, "refresh">;
  readonly clock: Clock;
  /** Whether other directories rotate the keys as well. */
  readonly isShared: boolean;
  /** There is a new list. */
  readonly rotated: () => void;
  readonly failed: (error: unknown) => void;
}

/** Sees to it that the keyring is the newest, whichever directory has rotated it. */
export class NewestKeys {
  readonly #options: Options;
  #looking: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Rotates what is due, or takes what another has rotated. @throws {SetupError} E_STORAGE, {UnavailableError} E_STORAGE. */
  async refresh(): Promise<void> {
    const { keyring, clock, rotated } = this.#options;
    if (await keyring.refresh(clock.now())) rotated();
  }

  /**
   * For somebody who may have a newer list than this directory: resolves after a look that began after the call, or when that takes
   * too long. However many ask, there is one look after the other. Never rejects.
   */
  async look(): Promise<void> {
    const { clock, isShared } = this.#options;
    if (!isShared) return;
    let end = (): void => {};
    const late = new Promise<void>((resolve) => {
      end = clock.every(KEYS_LOOK_MS, resolve);
    });
    await Promise.race([this.#lookSoon(), late]);
    end();
  }

  #lookSoon(): Promise<void> {
    if (this.#looking === undefined) return this.#lookNow();
    this.#next ??= this.#looking.then(() => {
      this.#next = undefined;
      return this.#lookNow();
    });
    return this.#next;
  }

  #lookNow(): Promise<void> {
    this.#looking = this.refresh()
      .catch(this.#options.failed)
      .finally(() => (this.#looking = undefined));
    return this.#looking;
  }
}
