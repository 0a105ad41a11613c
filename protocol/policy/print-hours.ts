import { DAY_MINUTES, type Hours, WEEK_MINUTES } from "./hours.ts";

/** In the week's order. */
export const DAYS: readonly string[] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/** Hours in one form for one meaning, which parse-hours.ts reads again. */
export function printHours({ week, zone }: Pick<Hours, "week" | "zone">): string {
  const daysOf = new Map<string, Set<number>>();
  for (const [start, end] of acrossMidnight(week).flatMap((span) => withinADay(span))) {
    const day = Math.floor(start / DAY_MINUTES);
    const times = `${clock(start % DAY_MINUTES)}-${clock(endOnClock(start, end))}`;
    daysOf.set(times, (daysOf.get(times) ?? new Set()).add(day));
  }
  return `${[...daysOf].map(([times, days]) => `${printDays(days)}${times}`).join(", ")} ${zone}`;
}

type Span = readonly [start: number, end: number];

/** With the night from Sunday to Monday, which the week cuts in two, in one piece if it is shorter than a day. */
function acrossMidnight(week: readonly Span[]): readonly Span[] {
  const [first, last] = [week[0], week.at(-1)];
  if (first === undefined || last === undefined || week.length < 2) return week;
  const isNight = first[0] === 0 && last[1] === WEEK_MINUTES && first[1] + WEEK_MINUTES - last[0] < DAY_MINUTES;
  return isNight ? [...week.slice(1, -1), [last[0], WEEK_MINUTES + first[1]]] : week;
}

/** Cut at each midnight if it is a day or longer. */
function withinADay([start, end]: Span): Span[] {
  if (end - start < DAY_MINUTES) return [[start, end]];
  const midnight = (Math.floor(start / DAY_MINUTES) + 1) * DAY_MINUTES;
  return midnight >= end ? [[start, end]] : [[start, midnight], ...withinADay([midnight, end])];
}

function endOnClock(start: number, end: number): number {
  const minute = end % DAY_MINUTES;
  return minute === 0 && Math.floor(start / DAY_MINUTES) + 1 === end / DAY_MINUTES ? DAY_MINUTES : minute;
}

/** `mon-fri `, `mon,wed,sat-sun `; nothing for every day. */
function printDays(days: ReadonlySet<number>): string {
  if (days.size === DAYS.length) return "";
  const runs: [first: number, last: number][] = [];
  for (const day of [...days].sort((a, b) => a - b)) {
    const run = runs.at(-1);
    if (run !== undefined && run[1] === day - 1) run[1] = day;
    else runs.push([day, day]);
  }
  return `${runs.map(([first, last]) => (first === last ? DAYS[first] : `${DAYS[first]}-${DAYS[last]}`)).join(",")} `;
}

function clock(minutes: number): string {
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`;
}
