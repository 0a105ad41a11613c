import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";

const UNITS = { m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * A moment as the audit writes it: a day or a time in UTC (`2026-01-31`, `2026-01-31T12:00:00Z`), or so long before `now` (ms since
 * 1970 UTC) as in `90m`, `24h`, `7d`. @throws {SetupError} E_USAGE, which names the option.
 */
export function parseWhen(option: string, text: string, now: number): string {
  const [, number, unit] = /^([1-9][0-9]{0,4})([mhd])$/.exec(text) ?? [];
  if (number !== undefined) return new Date(now - Number(number) * UNITS[unit as keyof typeof UNITS]).toISOString();
  const isTime = /^[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?Z)?$/.test(text);
  const time = isTime ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) {
    throw new SetupError("E_USAGE", `${option} ${quoted(text)} is no time.`, {
      next: "Write it as 2026-01-31, 2026-01-31T12:00:00Z (UTC), or as 90m, 24h, 7d ago.",
    });
  }
  return new Date(time).toISOString();
}
