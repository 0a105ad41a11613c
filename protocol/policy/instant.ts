const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIME = /^(\d{4}-\d\d-\d\d)T(\d\d):(\d\d)(?::(\d\d))?(?:Z|([+-])(\d\d):(\d\d))$/;

/**
 * A moment in the forms of RFC 3339 that people write: `2027-01-31` is the first moment of that day in UTC,
 * `2027-01-31T18:00Z` and `2027-01-31T19:00:00+01:00` are more exact. Years 2000 to 2999.
 * @returns ms since 1970 UTC; undefined for anything else, days and times that do not exist included.
 */
export function parseInstant(text: string): number | undefined {
  const [, date = text, hour = "00", minute = "00", second = "00", sign = "+", ahead = "00", aheadMinutes = "00"] =
    TIME.exec(text) ?? [];
  const [, year = 0, month = 0, day = 0] = (DATE.exec(date) ?? []).map(Number);
  const midnight = Date.UTC(year, month - 1, day);
  const calendar = new Date(midnight);
  // Only a day that exists is still the same day of the same month after Date has put it right.
  if (year < 2000 || year > 2999 || calendar.getUTCMonth() !== month - 1 || calendar.getUTCDate() !== day)
    return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  if (Number(ahead) > 23 || Number(aheadMinutes) > 59) return undefined;
  const offset = (sign === "-" ? -1 : 1) * (Number(ahead) * 60 + Number(aheadMinutes));
  return midnight + ((Number(hour) * 60 + Number(minute) - offset) * 60 + Number(second)) * 1000;
}

/** `2027-01-31 18:00 UTC` */
export function printInstant(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
