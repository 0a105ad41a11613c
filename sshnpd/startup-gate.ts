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
 * Lets so many connections at a time log in that an sshd of this MaxStartups drops none, and the others wait for their turn:
 * the next is of the client of whom fewest log in, and of these who came first, so that nobody who asks often shuts others out. When a connection has logged in is known to sshd alone. So one counts as logging in until it
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
  readonly #young = new Map<Visit, { readonly until: number; readonly client: string }>();
  /** And of which client each is; the first that came first. */
  readonly #waiting = new Map<Visit, string>();

  /** Some of sshd's places are left to others: whoever logs in without us, and the scans of its host keys. */
  constructor({ start }: Pick<MaxStartups, "start">, youngMs: number) {
    this.room = Math.max(1, start - PLACES_OF_OTHERS);
    this.#youngMs = youngMs;
  }

  /** Asks for a turn; `admitted` tells whose it is. */
  ask(visit: Visit, client: string): void {
    this.#waiting.set(visit, client);
  }

  /** It has logged in, is closed, or is not interested any more. */
  leave(visit: Visit): void {
    this.#waiting.delete(visit);
    this.#young.delete(visit);
  }

  /** Takes those whose turn it is now off the queue. */
  admitted(now: number): Visit[] {
    for (const [visit, { until }] of this.#young) if (until <= now) this.#young.delete(visit);
    const admitted: Visit[] = [];
    while (this.#young.size < this.room) {
      const next = this.#nextInTurn();
      if (next === undefined) break;
      const { visit, client } = next;
      this.#waiting.delete(visit);
      this.#young.set(visit, { until: now + this.#youngMs, client });
      admitted.push(visit);
    }
    return admitted;
  }

  #nextInTurn(): { readonly visit: Visit; readonly client: string } | undefined {
    const counts = new Map<string, number>();
    for (const { client } of this.#young.values()) counts.set(client, (counts.get(client) ?? 0) + 1);
    let next: { readonly visit: Visit; readonly client: string; readonly count: number } | undefined;
    for (const [visit, client] of this.#waiting) {
      const count = counts.get(client) ?? 0;
      if (next === undefined || count < next.count) next = { visit, client, count };
      if (count === 0) break;
    }
    return next;
  }

  /** When to ask `admitted` again though nothing has happened, or undefined while nobody waits. */
  get next(): number | undefined {
    const [first] = this.#young.values();
    return this.#waiting.size === 0 ? undefined : first?.until;
  }
}

const PLACES_OF_OTHERS = 3;
