import type { SshnpError } from "../keys/errors.ts";
import { REASON_BYTES } from "../protocol/limits.ts";
import { type Log, logError } from "./log.ts";

/**
 * What a client is told when the host keys of the SSH server cannot be had. Errors with E_NO_SSHD are worded for clients; others
 * may have paths in them and what programs say, so their client gets a fixed sentence, and the log the error.
 */
export function refusalWithoutSsh(
  error: SshnpError,
  log: Log,
): { readonly code: "E_NO_SSHD"; readonly reason: string } {
  if (error.code === "E_NO_SSHD") return { code: "E_NO_SSHD", reason: beginningOf(error.message, REASON_BYTES) };
  logError(log, error, "the SSH server cannot be used");
  return { code: "E_NO_SSHD", reason: "its SSH server is not in order; on the device: sshnpd check" };
}

/** Of no more than so many bytes in UTF-8, and whole characters. */
function beginningOf(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}
