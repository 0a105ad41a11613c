/** `start:rate:full` of MaxStartups in sshd_config(5): from `start` unauthenticated connections on, some are dropped. */
export interface MaxStartups {
  readonly start: number;
  readonly rate: number;
  readonly full: number;
}

/** What OpenSSH takes when nothing is said. */
export const DEFAULT_MAX_STARTUPS: MaxStartups = { start: 10, rate: 30, full: 100 };

/** As `sshd -T` prints it, or a single number, which means that many and none more. Undefined for anything else. */
export function parseMaxStartups(text: string): MaxStartups | undefined {
  const [, start = "", rate, full] = /^([1-9][0-9]{0,6})(?::([0-9]{1,3}):([1-9][0-9]{0,6}))?$/.exec(text) ?? [];
  if (start === "" || Number(rate ?? 0) > 100) return undefined;
  return { start: Number(start), rate: Number(rate ?? 100), full: Number(full ?? start) };
}

/**
 * Lets so many connections at a time log in that an sshd of this MaxStartups drops none, and the others wait for their turn,
 * first come, first served. When a connection has logged in is known to sshd alone. So one counts as logging in until it
 * is closed, or has taken as many turns as a login does (`settled`), or its time is over: whoever types a password takes longer,
 * and then fewer than sshd would allow are counted, which costs a connection that is tried again.
 *
 * Pure: `now` in ms of a clock that does not run backwards.
 */
export class StartupGate<Visit> {
  /** How many may log in at a time. */
  readonly room: number;
  readonly #youngMs: number;
  /** Those that log in, and when each counts no more; the oldest first. */
  readonly #young = new Map<Visit, number>();
  readonly #waiting = new Set<Visit>();

  /** Some of sshd's places are left to others: whoever logs in without us, and the scans of its host keys. */
  constructor({ start }: Pick<MaxStartups, "start">, youngMs: number) {
    this.room = Math.max(1, start - PLACES_OF_OTHERS);
    this.#youngMs = youngMs;
  }

  /** Asks for a turn; `admitted` tells whose it is. */
  ask(visit: Visit): void {
    this.#waiting.add(visit);
  }

  /** It has logged in, is closed, or is not interested any more. */
  leave(visit: Visit): void {
    this.#waiting.delete(visit);
    this.#young.delete(visit);
  }

  /** Takes those whose turn it is now off the queue. */
  admitted(now: number): Visit[] {
    for (const [visit, until] of this.#young) if (until <= now) this.#young.delete(visit);
    const admitted: Visit[] = [];
    for (const visit of this.#waiting) {
      if (this.#young.size >= this.room) break;
      this.#waiting.delete(visit);
      this.#young.set(visit, now + this.#youngMs);
      admitted.push(visit);
    }
    return admitted;
  }

  /** When to ask `admitted` again though nothing has happened, or undefined while nobody waits. */
  get next(): number | undefined {
    const [first] = this.#young.values();
    return this.#waiting.size === 0 ? undefined : first;
  }
}

const PLACES_OF_OTHERS = 3;
