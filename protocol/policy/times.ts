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
    const ends = new Float64Array(WEEK_MINUTES);
    for (const grant of limited) {
      if (grant.hours?.zone !== zone) continue;
      for (const [start, end] of grant.hours.week) {
        for (let minute = start; minute < end; minute++) ends[minute] = Math.max(ends[minute] ?? 0, expiryOf(grant));
      }
    }
    for (const expiry of [...new Set(ends)].filter((end) => end > 0).sort((a, b) => b - a)) {
      parts.push(`${printHours({ zone, week: spansOf(ends, expiry) })}${until(expiry)}`);
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

function spansOf(ends: Float64Array, wanted: number): [number, number][] {
  const spans: [number, number][] = [];
  for (const [minute, end] of ends.entries()) {
    if (end !== wanted) continue;
    const last = spans.at(-1);
    if (last !== undefined && last[1] === minute) last[1] = minute + 1;
    else spans.push([minute, minute + 1]);
  }
  return spans;
}

function until(expiry: number): string {
  return expiry === Infinity ? "" : ` until ${printInstant(expiry)}`;
}
