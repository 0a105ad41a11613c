import { type Hours, WEEK_MINUTES } from "./hours.ts";
import { printInstant } from "./instant.ts";
import type { Grant } from "./policy.ts";
import { printHours } from "./print-hours.ts";

/**
 * When one of several grants holds, in one form for one meaning (per time zone): `always`, or a part for each combination
 * of hours and expiry, without what another part says already. Undefined for no grant.
 */
export function timesOf(grants: readonly Pick<Grant, "hours" | "expires">[]): string | undefined {
  if (grants.length === 0) return undefined;
  const always = Math.max(0, ...grants.filter(({ hours }) => hours === undefined || isWholeWeek(hours)).map(expiryOf));
  if (always === Infinity) return "always";
  const parts = always === 0 ? [] : [`always${until(always)}`];
  const limited = grants.filter(({ hours, expires }) => hours !== undefined && (expires ?? Infinity) > always);
  for (const zone of new Set(limited.map(({ hours }) => hours?.zone ?? ""))) {
    const ofZone = limited.filter(({ hours }) => hours?.zone === zone);
    const ends = endsOfMinutes(ofZone);
    for (const expiry of [...new Set(ofZone.map(expiryOf))].sort((a, b) => b - a)) {
      const week = spansOf(ends, expiry);
      if (week.length > 0) parts.push(`${printHours({ zone, week })}${until(expiry)}`);
    }
  }
  return parts.sort().join("; ");
}

function expiryOf({ expires }: Pick<Grant, "expires">): number {
  return expires ?? Infinity;
}

function isWholeWeek({ week }: Hours): boolean {
  return week.length === 1 && week[0]?.[0] === 0 && week[0][1] === WEEK_MINUTES;
}

/** For each minute of the week, the latest expiry of those that hold in it; 0: none does. */
function endsOfMinutes(grants: readonly Pick<Grant, "hours" | "expires">[]): Float64Array {
  const ends = new Float64Array(WEEK_MINUTES);
  for (const grant of grants) {
    for (const [start, end] of grant.hours?.week ?? []) {
      for (let minute = start; minute < end; minute++) ends[minute] = Math.max(ends[minute] ?? 0, expiryOf(grant));
    }
  }
  return ends;
}

function spansOf(ends: Float64Array, expiry: number): [number, number][] {
  const spans: [number, number][] = [];
  for (let minute = 0; minute < WEEK_MINUTES; minute++) {
    if (ends[minute] !== expiry) continue;
    const start = minute;
    while (minute < WEEK_MINUTES && ends[minute] === expiry) minute++;
    spans.push([start, minute]);
  }
  return spans;
}

function until(expiry: number): string {
  return expiry === Infinity ? "" : ` until ${printInstant(expiry)}`;
}
