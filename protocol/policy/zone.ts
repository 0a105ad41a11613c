/** How far the wall clock of a zone is ahead of UTC, in ms, at a moment in ms since 1970 UTC; undefined for no moment. */
export type ZoneOffset = (time: number) => number | undefined;

/** Most formatters that are kept; each holds some 20 KB in the engine. */
const KEPT = 32;
const kept = new Map<string, Intl.DateTimeFormat>();

/**
 * A zone of the IANA database by its full name, `Area/Place`, or `UTC`, as the platform knows it. Undefined for what is
 * no such name (`CET` and `+02:00` are none here, since not every platform knows them) or is not known.
 */
export function findZone(name: string): ZoneOffset | undefined {
  if (name === "UTC") return () => 0;
  if (!isZoneName(name) || formatter(name) === undefined) return undefined;
  return (time) => {
    const format = Math.abs(time) <= 8.64e15 ? formatter(name) : undefined; // ECMA-262 section 21.4.1.1
    if (format === undefined) return undefined;
    const read = new Map(format.formatToParts(time).map(({ type, value }) => [type, Number(value)]));
    const part = (type: Intl.DateTimeFormatPartTypes): number => read.get(type) ?? Number.NaN;
    const wall = Date.UTC(part("year"), part("month") - 1, part("day"), part("hour"), part("minute"), part("second"));
    return wall - Math.floor(time / 1000) * 1000;
  };
}

/** Whether a text has the form of a zone's name, known here or not. */
export function isZoneName(text: string): boolean {
  return /^(?:UTC|[A-Z][A-Za-z_]{1,20}(?:\/[A-Z][A-Za-z0-9_+-]{0,30}){1,2})$/.test(text);
}

function formatter(name: string): Intl.DateTimeFormat | undefined {
  const found = kept.get(name);
  if (found !== undefined) return found;
  try {
    const two = "2-digit";
    const made = new Intl.DateTimeFormat("en-US-u-ca-iso8601-nu-latn", {
      timeZone: name,
      hourCycle: "h23",
      year: "numeric",
      month: two,
      day: two,
      hour: two,
      minute: two,
      second: two,
    });
    if (kept.size >= KEPT) kept.clear();
    kept.set(name, made);
    return made;
  } catch {
    return undefined;
  }
}
