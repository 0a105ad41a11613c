/** What a person reads when the directory's log does not hold. */
import { SecurityError } from "../keys/errors.ts";
import type { Attempt } from "./attempt.ts";

/**
 * An error as a person is to read it: one of the log, of which the parts that found it know only what was wrong, with the
 * directory's name and the next step; any other as it is.
 */
export function logTrouble({ directory, device }: Attempt, error: unknown): unknown {
  if (!(error instanceof SecurityError) || error.code !== "E_LOG" || error.next !== undefined) return error;
  const fact = error.message.replace(/^The /, "the ").replace(/\.$/, "");
  return new SecurityError(
    "E_LOG",
    `The log of the directory at ${directory} does not bear out what it says: ${fact}.`,
    {
      next: `Do not go on before it is clear why: it may hide a revocation, or a newer key. Ask whoever runs it, and the owner of ${device.name}, who sees what the log has: sshnp-keys log ${device.name}`,
      cause: error,
    },
  );
}
