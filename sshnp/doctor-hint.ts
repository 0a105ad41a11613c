import { type ErrorCode, UnavailableError } from "../keys/errors.ts";

/**
 * An error of the way to the directory or to a rendezvous, with the command that looks at each step of it; any other as it is.
 * `whom`: the names after `sshnp doctor`.
 */
export function withDoctor(whom: readonly string[], error: unknown): unknown {
  if (!(error instanceof UnavailableError) || !OF_THE_WAY.has(error.code)) return error;
  const look = `What is in the way: sshnp doctor ${whom.join(" ")}`;
  const next = error.next === undefined ? look : `${error.next}   ${look}`;
  return new UnavailableError(error.code, error.message, { next, cause: error });
}

const OF_THE_WAY: ReadonlySet<ErrorCode> = new Set(["E_DIRECTORY", "E_RENDEZVOUS", "E_TIMEOUT"]);
