import { type Logger, pino } from "pino";
import { SshnpError } from "../keys/errors.ts";

/** JSON lines on stderr. */
export type Log = Logger;

/** `verbose` shows what helps to find a fault. Written at once, so that nothing is lost when the process ends. */
export function createLog(verbose: boolean): Log {
  const options = { level: verbose ? "debug" : "info", base: null, timestamp: pino.stdTimeFunctions.isoTime };
  const destination = pino.destination({ fd: 2, sync: true });
  destination.on("error", () => {}); // whoever read it is gone
  return pino(options, destination);
}

/** Logs an error: a warning with its code and fact, or, where it is a bug of ours, an error with its stack. */
export function logError(log: Log, error: unknown, event: string, about: object = {}): void {
  if (error instanceof SshnpError) log.warn({ ...about, code: error.code, reason: error.message }, event);
  else log.error({ ...about, err: error }, event);
}
