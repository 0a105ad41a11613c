/** A time in ms since 1970 UTC, of whatever size, as `2026-01-01T00:00:00.000Z`; what lies beyond 9999 as its last moment. */
export function isoTime(time: number): string {
  return new Date(Math.min(time, LAST_MS)).toISOString();
}

/** The day of it, `2026-01-01`. */
export function isoDay(time: number): string {
  return isoTime(time).slice(0, "2026-01-01".length);
}

/** Later years have more than four digits, and still later ones no Date. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59, 999);
