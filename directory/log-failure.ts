import type { Logger } from "pino";
import { UnavailableError } from "../keys/errors.ts";

/** Logs what failed: an outage of a broker, a database or a peer as a warning with its code, fact and next step; all else with its stack. `more` goes with either. */
export function logFailure(
  log: Pick<Logger, "error" | "warn">,
  error: unknown,
  event: string,
  more: object = {},
): void {
  if (!(error instanceof UnavailableError)) return log.error({ err: error, ...more }, event);
  const { code, message: reason, next } = error;
  log.warn({ code, reason, next, ...more }, event);
}
