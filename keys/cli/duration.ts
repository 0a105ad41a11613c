import { SetupError } from "../errors.ts";
import { quoted } from "../names.ts";

/** Milliseconds of `90s`, `30m`, `1h` or `30d`, at most `most`. @throws {SetupError} E_USAGE, naming `option`. */
export function parseDuration(option: string, text: string, most: number): number {
  const [, number, unit = ""] = /^([1-9][0-9]{0,5})([smhd])$/.exec(text) ?? [];
  const ms = Number(number) * (UNITS[unit] ?? Number.NaN);
  if (ms <= most) return ms;
  throw new SetupError("E_USAGE", `${option} ${quoted(text)} is not a time of at most ${most / DAY} days.`, {
    next: "Write it as 90s, 30m, 1h or 7d.",
  });
}

const DAY = 24 * 60 * 60_000;
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 60 * 60_000, d: DAY };
