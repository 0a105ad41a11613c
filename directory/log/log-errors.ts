import { SecurityError, SetupError, UnavailableError } from "../../keys/errors.ts";
import { damaged } from "./rows.ts";

/** What the log cannot do without at its start. @throws {SetupError} E_STORAGE. */
export async function settingUp<T>(action: () => Promise<T>, next: string): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    throw cause instanceof UnavailableError
      ? new SetupError("E_STORAGE", cause.message, { next: cause.next ?? next, cause })
      : cause;
  }
}

/** With nobody else at work, rows of the map that do not fit are damaged. */
export async function orDamaged<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof SecurityError ? damaged("the map of its log", error) : error;
  }
}
