import { type Logger, pino } from "pino";

/** JSON lines on stderr. */
export type Log = Logger;

/** `verbose` shows what helps to find a fault. Written at once, so that nothing is lost when the process ends. */
export function createLog(verbose: boolean): Log {
  const options = { level: verbose ? "debug" : "info", base: null, timestamp: pino.stdTimeFunctions.isoTime };
  return pino(options, pino.destination({ fd: 2, sync: true }));
}
