import type { Name } from "../../keys/names.ts";
import { NAME_STATEMENTS_BURST, NAME_STATEMENTS_PER_SECOND } from "../../protocol/limits.ts";
import type { Clock } from "../clock.ts";
import { NameLimiter } from "../rate-limit.ts";

/** A new statement, by whose right it was made. */
interface Made {
  readonly name: Name;
  /** By a delegation, not by the owner himself. */
  readonly isDelegated: boolean;
}

/**
 * How many new statements of each name are taken. Those that delegations make are counted apart: whoever has stolen a fleet token
 * must not keep the owner from revoking it.
 */
export class StatementRates {
  readonly #clock: Pick<Clock, "monotonic">;
  readonly #limiters = [new NameLimiter(RATE), new NameLimiter(RATE)] as const;

  constructor(clock: Pick<Clock, "monotonic">) {
    this.#clock = clock;
  }

  /** Counts all of them and gives 0; or none, and gives the ms after which they would be. */
  take(made: readonly Made[]): number {
    const now = this.#clock.monotonic();
    const groups = this.#limiters.flatMap((limiter, index) => {
      const some = made.filter(({ isDelegated }) => isDelegated === (index === 1));
      return [...new Set(some.map(({ name }) => name))].map((name) => {
        return { limiter, name, count: some.filter((one) => one.name === name).length };
      });
    });
    const wait = Math.max(0, ...groups.map(({ limiter, name, count }) => limiter.wait(name, now, count)));
    if (wait === 0) for (const { limiter, name, count } of groups) limiter.take(name, now, count);
    return wait;
  }

  /** Forgets the names that have made none for long. */
  sweep(): void {
    for (const limiter of this.#limiters) limiter.sweep(this.#clock.monotonic());
  }
}

const RATE = { perSecond: NAME_STATEMENTS_PER_SECOND, burst: NAME_STATEMENTS_BURST };
