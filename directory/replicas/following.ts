/** Looks at what other directories have done, one look after the other, however long one takes. */
export class Following {
  readonly #look: () => Promise<unknown>;
  readonly #failed: (error: unknown) => void;
  #running: Promise<void> | undefined;
  #trouble: string | undefined;

  constructor(look: () => Promise<unknown>, failed: (error: unknown) => void) {
    this.#look = look;
    this.#failed = failed;
  }

  /** Looks, unless a look is under way. */
  look(): void {
    this.#running ??= this.#lookOnce();
  }

  /** Why the last look failed; undefined: it did not. */
  get trouble(): string | undefined {
    return this.#trouble;
  }

  /** Waits for the look that is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #lookOnce(): Promise<void> {
    try {
      await this.#look();
      this.#trouble = undefined;
    } catch (error) {
      this.#trouble = error instanceof Error ? error.message : "unknown reason";
      this.#failed(error);
    } finally {
      this.#running = undefined;
    }
  }
}
