import { UnavailableError } from "../../keys/errors.ts";
import { NobodyThereError } from "./nobody-there.ts";

/** Why a WebSocket was not taken, by the HTTP status of the answer. */
export function responseError(base: URL, status: number | undefined): UnavailableError {
  if (status === 429) return new UnavailableError("E_RATE", "Too many connections from this address.");
  if (status === 503) return new UnavailableError("E_BUSY", "The directory is busy.");
  const isProxyAlone = status === 502; // 504 says that the directory is there and does not cope
  return new UnavailableError("E_DIRECTORY", `${base.origin} answers, but takes no link (status ${status}).`, {
    next: "Check the address; a proxy in between must pass WebSockets to /v1/link on.",
    ...(isProxyAlone && { cause: new NobodyThereError(`status ${status}`, { saidBy: "proxy" }) }),
  });
}
