/** Looks at what other directories have done, one look after the other, however long one takes. */
export class Following {
  readonly #look: () => Promise<unknown>;
  readonly #failed: (error: unknown) => void;
  #running: Promise<void> | undefined;

  constructor(look: () => Promise<unknown>, failed: (error: unknown) => void) {
    this.#look = look;
    this.#failed = failed;
  }

  /** Looks, unless a look is under way. */
  look(): void {
    this.#running ??= this.#lookOnce();
  }

  /** Waits for the look that is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #lookOnce(): Promise<void> {
    try {
      await this.#look();
    } catch (error) {
      this.#failed(error);
    } finally {
      this.#running = undefined;
    }
  }
}
