/** Does the same again and again, one time after the other, however long one takes. */
export class Recurring {
  readonly #actions: readonly (() => Promise<unknown>)[];
  readonly #failed: (error: unknown) => void;
  #running: Promise<void> | undefined;

  /** `actions` are done side by side; `failed` hears of each that fails, and the others are waited for. */
  constructor(actions: readonly (() => Promise<unknown>)[], failed: (error: unknown) => void) {
    this.#actions = actions;
    this.#failed = failed;
  }

  /** Does it, unless it is under way. */
  run(): void {
    this.#running ??= this.#runOnce();
  }

  /** Waits for what is under way. */
  async settled(): Promise<void> {
    await this.#running;
  }

  async #runOnce(): Promise<void> {
    await Promise.all(this.#actions.map((action) => action().catch(this.#failed)));
    this.#running = undefined;
  }
}
