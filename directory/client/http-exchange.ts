import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { SshnpError, UnavailableError } from "../../keys/errors.ts";
import { dial } from "./dial.ts";
import { ProxyError } from "./proxy-error.ts";
import { reachedAddress } from "./reached.ts";
import { refusalError } from "./refusal-error.ts";
import { toldRetryAfter } from "../returning.ts";
import { AskAgainError } from "./told-to-wait.ts";

export interface HttpExchange {
  /** Where the directory is; a path in it is kept ahead of the route. */
  readonly base: URL;
  readonly route: `/${string}`;
  /** What to POST; without it the exchange is a GET. */
  readonly body?: Uint8Array;
  /** A connection that was dialled already; another one is when it is gone. */
  readonly connection?: Promise<Socket> | undefined;
  readonly signal: AbortSignal;
  /** Whether the process may end while this goes on. */
  readonly isBackground?: boolean;
  /** Told the IP address that the answer comes from; undefined where only a proxy knows it. */
  readonly onAnswered?: (address: string | undefined) => void;
  /** Told when the TLS certificate does not verify, which stops nothing. */
  readonly warn: (text: string) => void;
}

/**
 * The body of the answer, in chunks as they come. Ending the iteration early closes the connection.
 * @throws {UnavailableError} E_DIRECTORY when nothing answers, the answer is cut off, stays silent, or is no 200;
 * E_RATE and E_BUSY when the directory says so. {PeerError} E_VERSION when it says that. The signal's reason when it is aborted.
 */
export async function* exchange(options: HttpExchange): AsyncGenerator<Uint8Array, void, void> {
  const { base, signal } = options;
  signal.throwIfAborted();
  const request = await startRequest(options).catch((cause: unknown) => {
    signal.throwIfAborted();
    throw unreachable(base, cause);
  });
  const abort = (): void => void request.destroy(asError(signal.reason));
  signal.addEventListener("abort", abort, { once: true });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", (answer) => {
        options.onAnswered?.(reachedAddress(answer.socket));
        resolve(answer);
      });
      request.once("error", reject);
      request.end(options.body);
    });
    if (response.statusCode !== 200) throw statusError(base, response);
    for await (const chunk of response) if (chunk instanceof Uint8Array) yield chunk;
    signal.throwIfAborted(); // a body without a length ends as if whole when its connection is destroyed
  } catch (cause) {
    signal.throwIfAborted();
    throw unreachable(base, cause);
  } finally {
    signal.removeEventListener("abort", abort);
    request.on("error", ignore).destroy();
  }
}

/** `http(s)://host:port/v1/...` below the directory's own path. */
export function routeUrl(base: URL, route: `/${string}`): URL {
  return new URL(base.pathname.replace(/\/$/, "") + route, base);
}

/** That the directory does not answer, with the system's reason when there is one. */
export function unreachable(base: URL, cause: unknown): SshnpError {
  if (cause instanceof SshnpError) return cause;
  if (cause instanceof ProxyError) {
    const detail = { next: cause.next, cause: cause.cause ?? cause };
    return new UnavailableError(
      "E_DIRECTORY",
      `Cannot reach the directory at ${base.origin}: ${cause.message}.`,
      detail,
    );
  }
  const reason = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new UnavailableError("E_DIRECTORY", `Cannot reach the directory at ${base.origin}${reason}.`, {
    next: "Check its address, this machine's network, and on its machine whether sshnp-directory runs.",
    cause,
  });
}

/** That something else answers there: another server, or a page that wants a login. */
export function notADirectory(base: URL, how: string, cause?: unknown): UnavailableError {
  return new UnavailableError("E_DIRECTORY", `${base.origin} answers, but not as a directory (${how}).`, {
    next: "Check the address; a proxy in between must pass /v1/ on.",
    cause,
  });
}

async function startRequest(options: HttpExchange): Promise<ClientRequest> {
  const { base, route, body, signal, warn, isBackground } = options;
  const headers =
    body === undefined ? {} : { "content-type": "application/octet-stream", "content-length": body.length };
  const isSecure = base.protocol === "https:";
  const http = isSecure ? await import("node:https") : await import("node:http");
  const ahead = await options.connection?.catch(() => undefined);
  signal.throwIfAborted();
  const socket = ahead === undefined || ahead.destroyed ? await dial(base, signal, warn) : ahead;
  return http.request(routeUrl(base, route), {
    ...{ method: body === undefined ? "GET" : "POST", headers },
    defaultPort: isSecure ? 443 : 80, // else the Host header has a port
    createConnection: () => (isBackground === true ? socket : socket.ref()),
  });
}

function statusError(base: URL, { statusCode, headers }: IncomingMessage): SshnpError {
  const wait = toldRetryAfter(headers["retry-after"]);
  if (statusCode === 429) return new AskAgainError("E_RATE", "Too many attempts from this address.", wait);
  if (statusCode === 503) return new AskAgainError("E_BUSY", "The directory is busy.", wait);
  if (statusCode === 415) return refusalError("E_VERSION");
  return notADirectory(base, `status ${statusCode}`);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted");
}

function ignore(): void {}
