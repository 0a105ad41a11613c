import { SetupError, SshnpError } from "./errors.ts";

/**
 * What `read` makes of the value of an environment variable. An error of its tells which variable that was, since whoever
 * reads it has typed no such word. @throws {SetupError} with the code of what `read` throws.
 */
export function inVariable<T>(variable: string, value: string, read: (value: string) => T): T {
  try {
    return read(value);
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    const next = error.next === undefined ? {} : { next: error.next };
    throw new SetupError(error.code, `${variable}: ${error.message}`, { ...next, cause: error });
  }
}
