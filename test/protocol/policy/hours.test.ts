import * as fc from "fast-check";
import { expect, test } from "vitest";
import { endOfHours, type Hours, WEEK_MINUTES } from "../../../protocol/policy/hours.ts";
import { parseHours } from "../../../protocol/policy/parse-hours.ts";
import { printHours } from "../../../protocol/policy/print-hours.ts";
import { findZone } from "../../../protocol/policy/zone.ts";
import { hours, isWithin, moment } from "./reference.ts";

const MINUTE = 60_000;

function hoursOf(text: string): Hours {
  return parseHours(text, { line: 1, column: 1 }, "refuse");
}

function holds(text: string, at: string): boolean {
  return endOfHours(hoursOf(text), Date.parse(at)) !== undefined;
}

// What holds, when, and until when; `-`: it does not hold.
const ENDS = `
mon-fri 07:00-19:00 Europe/Berlin           2026-12-01T06:00Z         2026-12-01T18:00Z
mon-fri 07:00-19:00 Europe/Berlin           2026-12-01T05:59:59.999Z  -
mon-fri 07:00-19:00 Europe/Berlin           2026-12-01T17:59:59.999Z  2026-12-01T18:00Z
mon-fri 07:00-19:00 Europe/Berlin           2026-12-01T18:00Z         -
mon-fri 07:00-19:00 Europe/Berlin           2026-12-05T10:00Z         -
07:00-19:00 UTC                             2026-12-05T10:00Z         2026-12-05T19:00Z
mon 00:00-24:00 UTC                         2026-11-30T23:00Z         2026-12-01T00:00Z
mon,tue 00:00-24:00 UTC                     2026-11-30T23:00Z         2026-12-02T00:00Z
00:00-24:00 Europe/Berlin                   2026-11-30T23:00Z         never
mon-sun 00:00-24:00 UTC                     2026-11-30T23:00Z         never
sun 22:00-06:00 UTC                         2026-11-29T23:00Z         2026-11-30T06:00Z
sun 22:00-06:00 UTC                         2026-11-30T05:00Z         2026-11-30T06:00Z
sun 22:00-06:00 UTC                         2026-11-29T05:00Z         -
sat 22:00-06:00, sun 06:00-07:00 UTC        2026-11-29T05:00Z         2026-11-29T07:00Z
fri-mon 22:00-06:00 UTC                     2026-12-01T05:00Z         2026-12-01T06:00Z
fri-mon 22:00-06:00 UTC                     2026-12-01T23:00Z         -
sat,sun 00:00-24:00, mon 00:00-06:00 UTC    2026-11-28T00:00Z         2026-11-30T06:00Z
tue-sun 00:00-24:00, mon 06:00-24:00 UTC    2026-12-06T12:00Z         2026-12-07T00:00Z
tue-mon 00:00-24:00 UTC                     2026-12-06T12:00Z         never
sat 12:00-11:00, sun 11:00-12:00 UTC        2026-11-28T12:00Z         2026-11-29T12:00Z
sun 01:00-04:00 Europe/Berlin               2026-03-29T00:30Z         2026-03-29T02:00Z
sun 02:00-03:00 Europe/Berlin               2026-03-29T00:59:59Z      -
sun 02:00-03:00 Europe/Berlin               2026-03-29T01:00Z         -
sun 01:00-02:30 Europe/Berlin               2026-03-29T00:30Z         2026-03-29T01:00Z
sun 02:30-04:00 Europe/Berlin               2026-03-29T01:00Z         2026-03-29T02:00Z
sun 01:00-04:00 Europe/Berlin               2026-10-24T23:30Z         2026-10-25T03:00Z
sun 02:00-03:00 Europe/Berlin               2026-10-25T00:00Z         2026-10-25T02:00Z
sun 02:00-02:30 Europe/Berlin               2026-10-25T00:10Z         2026-10-25T00:30Z
sun 02:00-02:30 Europe/Berlin               2026-10-25T00:40Z         -
sun 02:00-02:30 Europe/Berlin               2026-10-25T01:10Z         2026-10-25T01:30Z
sat 22:00-06:00 Europe/Berlin               2026-10-24T20:00Z         2026-10-25T05:00Z
sat 22:00-06:00 Europe/Berlin               2026-03-28T21:00Z         2026-03-29T04:00Z
sun 01:00-02:10 Australia/Lord_Howe         2026-04-04T14:30Z         2026-04-04T15:40Z
sun 00:00-24:00 America/New_York            2026-11-01T04:00Z         2026-11-02T05:00Z
sat-sun 00:00-24:00 America/New_York        2026-03-07T05:00Z         2026-03-09T04:00Z
mon 09:00-10:00 Asia/Kathmandu              2026-11-30T03:15Z         2026-11-30T04:15Z
00:00-24:00 UTC                             1970-01-01T00:00Z         never
thu 00:00-01:00 UTC                         1970-01-01T00:00Z         1970-01-01T01:00Z
wed 23:00-24:00 UTC                         1969-12-31T23:30Z         1970-01-01T00:00Z
`;

test.each(
  ENDS.trim()
    .split("\n")
    .map((line) => line.split(/ {2,}/)),
)("%s, at %s, end %s", (text = "", at = "", end = "") => {
  const expected = end === "-" ? undefined : end === "never" ? Infinity : Date.parse(end);
  expect(endOfHours(hoursOf(text), Date.parse(at))).toBe(expected);
});

test("hours hold exactly when the wall clock of their zone stands within them", () => {
  fc.assert(
    fc.property(hours, fc.array(moment, { minLength: 30, maxLength: 30 }), (text, moments) => {
      const parsed = hoursOf(text);
      for (const now of moments) expect(endOfHours(parsed, now) !== undefined).toBe(isWithin(text, now));
    }),
    { numRuns: 150 },
  );
});

test("hours end at the first minute at which the wall clock of their zone leaves them", () => {
  fc.assert(
    fc.property(hours, moment, (text, now) => {
      const end = endOfHours(hoursOf(text), now);
      if (end === undefined) return;
      let minute = now;
      do minute = (Math.floor(minute / MINUTE) + 1) * MINUTE;
      while (isWithin(text, minute) && minute < now + 8 * 24 * 60 * MINUTE);
      if (end === Infinity) expect(isWithin(text, minute)).toBe(true);
      else expect(new Date(end).toISOString()).toBe(new Date(minute).toISOString());
    }),
    { numRuns: 200 },
  );
});

test("the week of hours is in order, without overlap, within its bounds", () => {
  fc.assert(
    fc.property(hours, (text) => {
      let before = -1;
      for (const [start, end] of hoursOf(text).week) {
        expect(start).toBeGreaterThan(before);
        expect(end).toBeGreaterThan(start);
        before = end;
      }
      expect(before).toBeLessThanOrEqual(WEEK_MINUTES);
    }),
  );
});

test("hours are printed in one form for one meaning, which is read as the same hours", () => {
  fc.assert(
    fc.property(hours, (text) => {
      const parsed = hoursOf(text);
      const printed = printHours(parsed);
      expect(hoursOf(printed)).toMatchObject({ week: parsed.week, zone: parsed.zone });
      expect(printHours(hoursOf(printed))).toBe(printed);
    }),
    { numRuns: 200 },
  );
});

test.each([
  ["mon,tue,wed,thu,fri 07:00-12:00, mon-fri 12:00-19:00 UTC", "mon-fri 07:00-19:00 UTC"],
  ["mon-sun 07:00-19:00 UTC", "07:00-19:00 UTC"],
  ["fri-mon 22:00-06:00 UTC", "mon,fri-sun 22:00-06:00 UTC"],
  ["00:00-24:00 UTC", "00:00-24:00 UTC"],
  ["sat 12:00-12:00", undefined],
  ["sat 12:00-24:00, sun 00:00-12:00 UTC", "sat 12:00-24:00, sun 00:00-12:00 UTC"],
  ["sat 12:00-11:59 UTC", "sat 12:00-11:59 UTC"],
  ["sun 12:00-11:59 UTC", "sun 12:00-11:59 UTC"],
  ["sun 22:00-24:00, mon 00:00-06:00 UTC", "sun 22:00-06:00 UTC"],
])("%s is printed as %s", (text, printed) => {
  if (printed === undefined) expect(() => hoursOf(text)).toThrow(/are no hours|no time zone/);
  else expect(printHours(hoursOf(text))).toBe(printed);
});

test("a zone is known by its full name alone, and never by what only some platforms take", () => {
  for (const name of [
    "UTC",
    "Europe/Berlin",
    "America/Argentina/Buenos_Aires",
    "America/Port-au-Prince",
    "Etc/GMT+1",
    "Asia/Kolkata",
  ]) {
    expect(findZone(name)?.(0), name).toEqual(expect.any(Number));
  }
  for (const name of [
    "",
    "utc",
    "Z",
    "CET",
    "EST5EDT",
    "GMT",
    "+01:00",
    "-0100",
    "europe/berlin",
    "Europe",
    "Europe/",
    "Europe/Atlantis",
    "Europe/Berlin ",
    "Europe/Berlin\0",
    "../etc/localtime",
    "posix/Europe/Berlin",
  ]) {
    expect(findZone(name), name).toBeUndefined();
  }
});

test("a zone is asked about no moment that a clock cannot show", () => {
  const offset = findZone("Europe/Berlin");
  expect([8.64e15, -8.64e15].map((time) => typeof offset?.(time))).toEqual(["number", "number"]);
  expect([8.64e15 + 1, Number.NaN, Infinity].map((time) => offset?.(time))).toEqual([undefined, undefined, undefined]);
});

test("more zones than are kept ready are all told right", () => {
  const zones = Intl.supportedValuesOf("timeZone").filter((zone) => findZone(zone) !== undefined);
  expect(zones.length).toBeGreaterThan(300);
  const noon = Date.parse("2026-07-01T12:00Z");
  for (const zone of zones.slice(0, 100)) {
    const shown = new Intl.DateTimeFormat("sv-SE", { timeZone: zone, dateStyle: "short", timeStyle: "medium" }).format(
      noon,
    );
    expect(findZone(zone)?.(noon), zone).toBe(Date.parse(`${shown.replace(" ", "T")}Z`) - noon);
  }
});

test("hours that hold do so by the clock of their own zone, not of this machine", () => {
  const before = process.env["TZ"];
  try {
    for (const zone of ["Pacific/Kiritimati", "America/Los_Angeles", "UTC"]) {
      process.env["TZ"] = zone;
      expect(holds("mon-fri 07:00-19:00 Europe/Berlin", "2026-12-01T06:00Z")).toBe(true);
      expect(holds("mon-fri 07:00-19:00 Europe/Berlin", "2026-12-01T05:59Z")).toBe(false);
    }
  } finally {
    if (before === undefined) delete process.env["TZ"];
    else process.env["TZ"] = before;
  }
});
