import type { Server } from "node:net";

/** Where it is said; a log of pino's is one. */
export interface AcceptLog {
  warn(about: object, text: string): void;
}

/**
 * Lets a server that listens go on when accept(2) fails, for want of open files or memory, and says so: the first time, and then
 * once in ACCEPT_ERRORS_MS at most, with how many errors there were since the last line. `now`: monotonic ms.
 */
export function tellAcceptErrors(server: Server, log: AcceptLog, now: () => number = () => performance.now()): void {
  let toldAt = -Infinity;
  let errors = 0;
  server.on("error", (error) => {
    errors += 1;
    if (now() - toldAt < ACCEPT_ERRORS_MS) return;
    toldAt = now();
    log.warn({ code: "code" in error ? error.code : error.message, errors }, "connections cannot be accepted");
    errors = 0;
  });
}

/** Between two lines: those who come again each second must not fill the disk. */
const ACCEPT_ERRORS_MS = 10_000;
