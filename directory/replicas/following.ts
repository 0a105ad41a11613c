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
    this.#running ??= this.#look()
      .then(() => {}, this.#failed)
      .finally(() => (this.#running = undefined));
  }

  /** Waits for the look that is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }
}
