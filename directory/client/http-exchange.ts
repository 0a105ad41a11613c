import type { ClientRequest, IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { SshnpError, UnavailableError } from "../../keys/errors.ts";
import { DIRECTORY_CONNECT_MS, DIRECTORY_SILENCE_MS } from "../../protocol/limits.ts";
import { reportCertificate } from "./certificate.ts";
import { silent } from "./silent.ts";

export interface HttpExchange {
  /** Where the directory is; a path in it is kept ahead of the route. */
  readonly base: URL;
  readonly route: `/${string}`;
  /** What to POST; without it the exchange is a GET. */
  readonly body?: Uint8Array;
  /** A connection that was begun already (dialAhead); another one is made when it is gone. */
  readonly connection?: Promise<Socket> | undefined;
  readonly signal: AbortSignal;
  /** Whether the process may end while this goes on. */
  readonly isBackground?: boolean;
  /** Told the IP address that the connection is made to. */
  readonly onConnected?: (address: string | undefined) => void;
  /** Told when the TLS certificate does not verify, which stops nothing. */
  readonly warn: (text: string) => void;
}

/**
 * The body of the answer, in chunks as they come. Ending the iteration early closes the connection.
 * @throws {UnavailableError} E_DIRECTORY when nothing answers, the answer is cut off, stays silent, or is no 200;
 * E_RATE and E_BUSY when the directory says so. The signal's reason when it is aborted.
 */
export async function* exchange(options: HttpExchange): AsyncGenerator<Uint8Array, void, void> {
  const { base, signal } = options;
  signal.throwIfAborted();
  const request = await startRequest(options);
  const abort = (): void => void request.destroy(asError(signal.reason));
  signal.addEventListener("abort", abort, { once: true });
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once("response", resolve).once("error", reject);
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
  const { base, route, body, signal, warn, isBackground, onConnected } = options;
  const headers =
    body === undefined ? {} : { "content-type": "application/octet-stream", "content-length": body.length };
  const method = body === undefined ? "GET" : "POST";
  const url = routeUrl(base, route);
  const isSecure = base.protocol === "https:";
  const http = isSecure ? await import("node:https") : await import("node:http");
  const ahead = await options.connection?.catch(() => undefined);
  signal.throwIfAborted();
  const settings = { method, headers, timeout: DIRECTORY_CONNECT_MS } as const;
  const request =
    ahead === undefined || ahead.destroyed
      ? http.request(url, { ...settings, agent: false, rejectUnauthorized: false })
      : http.request(url, { ...settings, defaultPort: isSecure ? 443 : 80, createConnection: () => ahead.ref() });
  request.setNoDelay(true);
  request.once("socket", (socket) => {
    const connected = (): void => {
      socket.setTimeout(DIRECTORY_SILENCE_MS);
      onConnected?.(socket.remoteAddress);
    };
    if (socket.connecting) socket.once("connect", connected);
    else connected();
    if (isSecure && socket !== ahead) {
      socket.once("secureConnect", () => reportCertificate(socket as TLSSocket, base, warn));
    }
    if (isBackground === true) socket.unref();
  });
  request.once("timeout", () => void request.destroy(silent()));
  return request;
}

function statusError(base: URL, { statusCode, headers }: IncomingMessage): UnavailableError {
  const seconds = /^[0-9]{1,4}$/.exec(headers["retry-after"] ?? "")?.[0];
  const next = `Try again ${seconds === undefined ? "later" : `in ${seconds} s`}.`;
  if (statusCode === 429) return new UnavailableError("E_RATE", "Too many attempts from this address.", { next });
  if (statusCode === 503) return new UnavailableError("E_BUSY", "The directory is busy.", { next });
  return notADirectory(base, `status ${statusCode}`);
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted");
}

function ignore(): void {}
