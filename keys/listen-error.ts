import { SetupError } from "./errors.ts";

/** Why a server does not listen on `where`, HOST:PORT. `whenTaken`: what to do when another program does. */
export function listenError(where: string, cause: Error, whenTaken: string): SetupError {
  const code = "code" in cause ? String(cause.code) : cause.message;
  if (code === "EADDRINUSE") {
    return new SetupError("E_RUNNING", `Something listens on ${where} already.`, { next: whenTaken, cause });
  }
  return new SetupError("E_USAGE", `Cannot listen on ${where} (${code}).`, {
    next: "Give an address of this machine with --listen, and a port that this user may use (above 1023).",
    cause,
  });
}
