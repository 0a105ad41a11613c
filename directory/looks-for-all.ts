import { setImmediate as othersTurn } from "node:timers/promises";
import { LOOKS_AT_ONCE } from "../protocol/limits.ts";

/** Looks for many, LOOKS_AT_ONCE together, with others' turns in between. */
export class LooksForAll<Wanted> {
  readonly #lookFor: (wanted: Wanted) => Promise<void>;
  #newest: readonly Wanted[] = [];

  /** `lookFor` is not to throw. */
  constructor(lookFor: (wanted: Wanted) => Promise<void>) {
    this.#lookFor = lookFor;
  }

  /** Begins anew with all these; what was begun before goes no further. */
  begin(all: readonly Wanted[]): void {
    this.#newest = all;
    void this.#look(all);
  }

  async #look(all: readonly Wanted[]): Promise<void> {
    for (let i = 0; i < all.length && all === this.#newest; i += LOOKS_AT_ONCE) {
      await Promise.all(all.slice(i, i + LOOKS_AT_ONCE).map(this.#lookFor));
      await othersTurn();
    }
    if (all === this.#newest) this.#newest = []; // what is held here would be held for long
  }
}
