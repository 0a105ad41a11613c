import type { Logger } from "pino";
import { DATABASE_CLOCK_LOOK_MS, DATABASE_CLOCK_MS } from "../protocol/limits.ts";
import { type Clock, SYSTEM_CLOCK } from "./clock.ts";
import type { Database } from "./database.ts";
import { logFailure } from "./log-failure.ts";

/**
 * The time by the database that directories share: what one of them writes there, a report or until when a message id counts, means
 * the same to all, however their machines' clocks are set. Durations are the machine's own.
 */
export class DatabaseClock implements Clock, Disposable {
  readonly #machine: Clock;
  /** What the database's clock is ahead of the machine's monotonic one, ms. */
  #ahead: number;
  #stop: () => void = () => {};

  private constructor(machine: Clock, ahead: number) {
    this.#machine = machine;
    this.#ahead = ahead;
  }

  /** What the machine's own clock is ahead of the database's now, ms. */
  get machineAheadMs(): number {
    return this.#machine.now() - this.now();
  }

  /** `log` hears of a machine whose own clock is off. @throws {UnavailableError} E_STORAGE. */
  static async start(database: Asked, machine: Clock, log: Pick<Logger, "warn" | "error">): Promise<DatabaseClock> {
    const [least, most] = await look(database, machine);
    const clock = new DatabaseClock(machine, (least + most) / 2);
    const aheadMs = clock.machineAheadMs;
    if (Math.abs(aheadMs) > DATABASE_CLOCK_MS) {
      log.warn({ aheadMs }, "this machine's clock is not the database's, which counts where directories share one");
    }
    clock.#stop = machine.every(DATABASE_CLOCK_LOOK_MS, () => {
      clock.#lookAgain(database).catch((error: unknown) => logFailure(log, error, "the database tells no time"));
    });
    return clock;
  }

  now(): number {
    return Math.floor(this.#machine.monotonic() + this.#ahead);
  }

  monotonic(): number {
    return this.#machine.monotonic();
  }

  every(ms: number, action: () => void): () => void {
    return this.#machine.every(ms, action);
  }

  [Symbol.dispose](): void {
    this.#stop();
  }

  /** It moves no further than what was heard demands, so that an answer that is late moves it nowhere. */
  async #lookAgain(database: Asked): Promise<void> {
    const [least, most] = await look(database, this.#machine);
    this.#ahead = Math.min(Math.max(this.#ahead, least), most);
  }
}

/** The time for a command: the database's where directories share one, ms since 1970 UTC. @throws {UnavailableError} E_STORAGE. */
export async function timeOf({ shared }: Pick<Database, "shared">): Promise<number> {
  return shared === undefined ? SYSTEM_CLOCK.now() : await shared.time();
}

interface Asked {
  time(): Promise<number>;
}

/** Between which two numbers lies what the database is ahead of the machine: it said its time after it was asked, and before we knew. */
async function look(database: Asked, machine: Clock): Promise<readonly [number, number]> {
  const asked = machine.monotonic();
  const time = await database.time();
  return [time - machine.monotonic(), time - asked];
}
