import { SshnpError } from "../keys/errors.ts";

/** What a line of the log says of a failure that is no fault of ours. */
export function reasonOf(error: unknown): object {
  if (error instanceof SshnpError) return { code: error.code, reason: error.message };
  return { reason: error instanceof Error ? error.message : String(error) };
}
