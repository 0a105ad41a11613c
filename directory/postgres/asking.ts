import { printable } from "../../keys/print-error.ts";
import { SshnpError, UnavailableError } from "../../keys/errors.ts";

/** @throws {UnavailableError} E_STORAGE, E_BUSY. */
export async function reading<T>(read: () => Promise<T>): Promise<T> {
  return await asking(read, "The database cannot be read");
}

/** @throws {UnavailableError} E_STORAGE, E_BUSY. */
export async function writing<T>(action: () => Promise<T>): Promise<T> {
  return await asking(action, "The database cannot be written");
}

/** More wait for the database than are kept. */
export function busy(): UnavailableError {
  return new UnavailableError("E_BUSY", "Too much waits for the database.", { next: "Try again in some seconds." });
}

async function asking<T>(ask: () => Promise<T>, fact: string): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    if (cause instanceof SshnpError) throw cause;
    throw new UnavailableError("E_STORAGE", `${fact} (${reasonOf(cause)}).`, { next: LOOK, cause });
  }
}

/** Whether the database has said this of one statement, and its connection goes on (PostgreSQL, appendix A: classes 08 and 57P end it). */
export function isOfStatement(error: unknown): boolean {
  return error instanceof Error && "severity" in error && "code" in error && !/^(?:08|57P)/.test(String(error.code));
}

/** What the database or the driver says of it, for one line of a terminal. */
export function reasonOf(cause: unknown): string {
  return printable(cause instanceof Error ? cause.message || cause.name : "unknown reason");
}

const LOOK = "See that PostgreSQL runs, answers and has room on its disk; its own log tells more.";
