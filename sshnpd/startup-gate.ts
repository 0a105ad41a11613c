import { SSH_NEW_CONNECTIONS } from "../protocol/limits.ts";

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
 * Whether one who holds `own` of the places may take another, of which `free` are left: he may while more are free than he
 * has. So one alone takes half of them and no more, whoever comes after him half of the rest, and there is one for another.
 */
export function leavesShare({ own, free }: { readonly own: number; readonly free: number }): boolean {
  return free > own;
}

/**
 * Lets so many connections at a time log in that an sshd of this MaxStartups drops none, and the others wait for their turn:
 * each client has its share of the places ({@link leavesShare}), and the next is of the client of whom fewest log in, and of
 * these who came first; so nobody who asks often, or says nothing, shuts others out.
 *
 * When a connection has logged in is known to sshd alone, which counts it until then, or until its LoginGraceTime is over
 * (`graceMs`). So it counts here until it is closed (`leave`), or looks as if it had logged in (`settle`), or that time
 * is over. Whoever makes sshd talk can look so without having logged in; so of one client no more than
 * SSH_NEW_CONNECTIONS, nor than half of what sshd takes at all, settled or not, are let in during that time.
 *
 * Pure: `now` in ms of a clock that does not run backwards.
 */
export class StartupGate<Visit> {
  /** How many may log in at a time. */
  readonly room: number;
  readonly #graceMs: number;
  readonly #most: number;
  /** Those that were let in less than graceMs ago and are not closed; the oldest first. */
  readonly #young = new Map<Visit, Young>();
  /** And of which client each is; the first that came first. */
  readonly #waiting = new Map<Visit, string>();

  /** Some of sshd's places are left to others: whoever logs in without us, and the scans of its host keys. */
  constructor({ start, full }: Pick<MaxStartups, "start" | "full">, graceMs: number) {
    this.room = Math.max(1, start - PLACES_OF_OTHERS);
    this.#graceMs = graceMs;
    // Half of what sshd takes at all is left to others, whatever one client does.
    this.#most = Math.max(1, Math.min(Math.max(SSH_NEW_CONNECTIONS, this.room), Math.floor(full / 2)));
  }

  /** Asks for a turn; `admitted` tells whose it is. */
  ask(visit: Visit, client: string): void {
    this.#waiting.set(visit, client);
  }

  /** It is closed, or is not interested any more. */
  leave(visit: Visit): void {
    this.#waiting.delete(visit);
    this.#young.delete(visit);
  }

  /** It looks as if it had logged in. */
  settle(visit: Visit): void {
    const young = this.#young.get(visit);
    if (young !== undefined) young.isSettled = true;
  }

  /** Takes those whose turn it is now off the queue. */
  admitted(now: number): Visit[] {
    for (const [visit, { until }] of this.#young) if (until <= now) this.#young.delete(visit);
    const admitted: Visit[] = [];
    for (;;) {
      const next = this.#nextInTurn();
      if (next === undefined) return admitted;
      const { visit, client } = next;
      this.#waiting.delete(visit);
      this.#young.set(visit, { until: now + this.#graceMs, client, isSettled: false });
      admitted.push(visit);
    }
  }

  #nextInTurn(): { readonly visit: Visit; readonly client: string } | undefined {
    const counts = new Map<string, { all: number; own: number }>();
    let free = this.room;
    for (const { client, isSettled } of this.#young.values()) {
      const { all, own } = counts.get(client) ?? NONE;
      counts.set(client, { all: all + 1, own: own + (isSettled ? 0 : 1) });
      if (!isSettled) free -= 1;
    }
    let next: { readonly visit: Visit; readonly client: string; readonly own: number } | undefined;
    for (const [visit, client] of this.#waiting) {
      const { all, own } = counts.get(client) ?? NONE;
      if (all >= this.#most || !leavesShare({ own, free })) continue;
      if (next === undefined || own < next.own) next = { visit, client, own };
      if (own === 0) break;
    }
    return next;
  }

  /** When to ask `admitted` again though nothing has happened, or undefined while nobody waits. */
  get next(): number | undefined {
    const [first] = this.#young.values();
    return this.#waiting.size === 0 ? undefined : first?.until;
  }
}

interface Young {
  readonly client: string;
  /** When sshd gives it up. */
  readonly until: number;
  isSettled: boolean;
}

const NONE = { all: 0, own: 0 } as const;
const PLACES_OF_OTHERS = 3;
