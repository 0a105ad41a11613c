import { SshnpError, UnavailableError } from "../../keys/errors.ts";

/** @throws {UnavailableError} E_STORAGE. */
export async function reading<T>(read: () => Promise<T>): Promise<T> {
  return await asking(read, "The store cannot be read.");
}

/** @throws {UnavailableError} E_STORAGE. */
export async function writing<T>(action: () => Promise<T>): Promise<T> {
  return await asking(action, "The store cannot be written.");
}

async function asking<T>(ask: () => Promise<T>, fact: string): Promise<T> {
  try {
    return await ask();
  } catch (cause) {
    throw cause instanceof SshnpError ? cause : new UnavailableError("E_STORAGE", fact, { cause });
  }
}
