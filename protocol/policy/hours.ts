import { findZone } from "./zone.ts";

/**
 * When in the week something holds, by the clock on the wall of one time zone: `mon-fri 07:00-19:00 Europe/Berlin`.
 * What that clock skips in spring never comes, what it shows twice in autumn holds twice.
 */
export interface Hours {
  /** As it is written, with single spaces. */
  readonly text: string;
  readonly zone: string;
  /** Half-open spans in minutes since Monday 00:00, in order, at least a minute apart; at most 10,080. */
  readonly week: readonly (readonly [start: number, end: number])[];
}

export const DAY_MINUTES = 24 * 60;
export const WEEK_MINUTES = 7 * DAY_MINUTES;
const MINUTE_MS = 60_000;
const WEEK_MS = WEEK_MINUTES * MINUTE_MS;
/** 1970-01-01 was a Thursday. */
const MONDAY_MS = 4 * DAY_MINUTES * MINUTE_MS;

/**
 * Until when `hours`, which hold at `now`, go on to hold: ms since 1970 UTC, Infinity where they never end. Undefined when
 * they do not hold at `now`, or nobody can say because this platform does not know the zone.
 */
export function endOfHours({ zone, week }: Hours, now: number): number | undefined {
  const offsetAt = findZone(zone);
  let end: number | undefined;
  let time = now;
  // Once around for every change of the zone's offset on the way; there are few within a week.
  for (let changes = 0; changes < 4; changes++) {
    const offset = offsetAt?.(time);
    const left = offset === undefined ? undefined : msLeft(week, time + offset);
    if (offsetAt === undefined || offset === undefined || left === undefined) return end;
    if (left === Infinity) return left;
    end = time + left;
    if (offsetAt(end) === offset) return end;
    end = changeOf(offsetAt, offset, time, end);
    time = end;
  }
  return end;
}

/** How long the wall clock, at `wall` ms, stays within the span that it is in; undefined when it is in none. */
function msLeft(week: Hours["week"], wall: number): number | undefined {
  const ofWeek = (((wall - MONDAY_MS) % WEEK_MS) + WEEK_MS) % WEEK_MS;
  const span = week.find(([start, end]) => start * MINUTE_MS <= ofWeek && ofWeek < end * MINUTE_MS);
  if (span === undefined) return undefined;
  const left = span[1] * MINUTE_MS - ofWeek;
  if (span[1] < WEEK_MINUTES || week[0]?.[0] !== 0) return left;
  return week.length === 1 ? Infinity : left + week[0][1] * MINUTE_MS;
}

/** The first ms after `from`, up to `to`, at which the zone is no longer `offset` ahead. */
function changeOf(offsetAt: (time: number) => number | undefined, offset: number, from: number, to: number): number {
  let [before, after] = [from, to];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (offsetAt(middle) === offset) before = middle;
    else after = middle;
  }
  return after;
}
