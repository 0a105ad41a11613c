import { UnavailableError } from "../../keys/errors.ts";
import { toldRetryAfter } from "../returning.ts";
import { NobodyThereError } from "./nobody-there.ts";
import { AskAgainError } from "./told-to-wait.ts";

/** Why a WebSocket was not taken, by the HTTP status of the answer, and when to ask again. */
export function responseError(base: URL, status: number | undefined, retryAfter?: string): UnavailableError {
  if (status === 429)
    return new AskAgainError("E_RATE", "Too many connections from this address.", toldRetryAfter(retryAfter));
  if (status === 503) return new AskAgainError("E_BUSY", "The directory is busy.", toldRetryAfter(retryAfter));
  const isProxyAlone = status === 502; // 504 says that the directory is there and does not cope
  return new UnavailableError("E_DIRECTORY", `${base.origin} answers, but takes no link (status ${status}).`, {
    next: "Check the address; a proxy in between must pass WebSockets to /v1/link on.",
    ...(isProxyAlone && { cause: new NobodyThereError(`status ${status}`, { saidBy: "proxy" }) }),
  });
}
