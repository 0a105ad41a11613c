import { quoted } from "../../keys/names.ts";
import { DAY_MINUTES, type Hours, WEEK_MINUTES } from "./hours.ts";
import { DAYS } from "./print-hours.ts";
import { type Position, problem } from "./problem.ts";
import { findZone, isZoneName } from "./zone.ts";

/** What becomes of a time zone that this platform does not know. */
export type UnknownZones = "refuse" | "never hold";

const FORM =
  'Write it as "mon-fri 07:00-19:00 Europe/Berlin", or with several parts, "mon-fri 07:00-19:00, sat,sun 09:00-12:00 UTC"; without days it is every day.';

/**
 * `[DAYS] HH:MM-HH:MM[, [DAYS] HH:MM-HH:MM ...] ZONE`; DAYS: `mon`, `mon-fri`, `fri-mon`, `sat,sun`. A part whose end is
 * earlier than its start goes on into the next day, and belongs to the day on which it starts.
 * @throws {SetupError} E_POLICY.
 */
export function parseHours(text: string, at: Position, unknownZones: UnknownZones): Hours {
  const words = text.split(/[ \t]+/);
  const zone = words.pop() ?? "";
  const spans: [number, number][] = [];
  let days: readonly number[] | undefined;
  for (const [i, word] of words.entries()) {
    const isLast = i === words.length - 1;
    if (days === undefined && /^[a-z]/.test(word)) {
      days = parseDays(word, at);
      continue;
    }
    if (isLast === word.endsWith(",")) throw problem(at, `${quoted(text)} are no hours.`, FORM);
    const [start, end] = parseTimes(isLast ? word : word.slice(0, -1), at);
    for (const day of days ?? DAYS.keys()) {
      spans.push([day * DAY_MINUTES + start, day * DAY_MINUTES + (end > start ? end : end + DAY_MINUTES)]);
    }
    days = undefined;
  }
  if (spans.length === 0 || days !== undefined) throw problem(at, `${quoted(text)} are no hours.`, FORM);
  if (!isZoneName(zone)) {
    throw problem(
      at,
      `${quoted(zone)} at the end of the hours is no time zone.`,
      "Hours end with UTC or the full name of a zone, such as Europe/Berlin.",
    );
  }
  if (unknownZones === "refuse" && findZone(zone) === undefined) {
    throw problem(
      at,
      `there is no time zone ${quoted(zone)}.`,
      "Take its full name from the IANA database, such as Europe/Berlin.",
    );
  }
  return { text: [...words, zone].join(" "), zone, week: merged(spans) };
}

function parseDays(word: string, at: Position): number[] {
  return word.split(",").flatMap((part) => {
    const [first = "", last = first, ...others] = part.split("-");
    const [from, to] = [DAYS.indexOf(first), DAYS.indexOf(last)];
    if (from < 0 || to < 0 || others.length > 0) {
      throw problem(
        at,
        `${quoted(part)} are no days of the week.`,
        "Days are mon tue wed thu fri sat sun: mon-fri, or sat,sun without a space.",
      );
    }
    return Array.from({ length: ((to - from + 7) % 7) + 1 }, (_, i) => (from + i) % 7);
  });
}

function parseTimes(text: string, at: Position): [start: number, end: number] {
  const [, ...digits] = /^(\d\d):(\d\d)-(\d\d):(\d\d)$/.exec(text) ?? [];
  const [startHour = 99, startMinute = 99, endHour = 99, endMinute = 99] = digits.map(Number);
  const [start, end] = [startHour * 60 + startMinute, endHour * 60 + endMinute];
  if (startMinute > 59 || endMinute > 59 || start >= DAY_MINUTES || end > DAY_MINUTES) {
    throw problem(
      at,
      `${quoted(text)} is no time from and to.`,
      "Write 07:00-19:00, with two digits each; the whole day is 00:00-24:00, a night 22:00-06:00.",
    );
  }
  if (start === end) {
    throw problem(at, `${quoted(text)} begins when it ends.`, "The whole day is 00:00-24:00.");
  }
  return [start, end];
}

/** The same minutes in order and without overlap, cut at the end of Sunday. */
function merged(spans: readonly [number, number][]): [number, number][] {
  const within = spans.flatMap(([start, end]): [number, number][] =>
    end <= WEEK_MINUTES
      ? [[start, end]]
      : [
          [start, WEEK_MINUTES],
          [0, end - WEEK_MINUTES],
        ],
  );
  const result: [number, number][] = [];
  for (const [start, end] of within.sort((a, b) => a[0] - b[0])) {
    const last = result.at(-1);
    if (last !== undefined && start <= last[1]) last[1] = Math.max(last[1], end);
    else result.push([start, end]);
  }
  return result;
}
