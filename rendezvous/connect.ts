import { lookup } from "node:dns";
import { type EventEmitter, once } from "node:events";
import { isIP, type LookupFunction, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DIAL_MS, DIAL_STAGGER_MS } from "../protocol/limits.ts";
import { formatRendezvousAddress, type RendezvousAddress } from "../protocol/rendezvous-address.ts";
import { isPrivateAddress } from "./ip-address.ts";
import { WEBSOCKET_LIMITS, WebSocketStream } from "./web-socket-stream.ts";

export interface ConnectOptions {
  /** Whether loopback, link-local and private addresses are connected to. */
  readonly allowPrivate: boolean;
  readonly signal: AbortSignal;
}

/** None of the addresses could be connected to; `reasons` has one for each, in words. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly reasons: readonly string[];

  constructor(reasons: readonly string[]) {
    super(reasons.join("; "));
    this.reasons = reasons;
  }
}

/**
 * Connects to the first of some places that answers: each gets a head start of DIAL_STAGGER_MS over the next, as in
 * RFC 8305. The other attempts are given up.
 * @throws {ConnectError} when none answers; the signal's reason when it is aborted.
 */
export function connectFirst<Place extends { readonly address: RendezvousAddress }>(
  places: readonly Place[],
  options: ConnectOptions,
): Promise<{ readonly place: Place; readonly stream: Duplex }> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const reasons: string[] = [];
    let started = 0;
    let failed = 0;
    let stagger: NodeJS.Timeout | undefined;
    const end = (finish: () => void): void => {
      if (over.signal.aborted) return;
      clearTimeout(stagger);
      options.signal.removeEventListener("abort", onAbort);
      over.abort();
      finish();
    };
    const onAbort = (): void => end(() => reject(options.signal.reason));
    const startNext = (): void => {
      clearTimeout(stagger);
      const index = started++;
      const place = places[index];
      if (place === undefined) return;
      stagger = setTimeout(startNext, DIAL_STAGGER_MS);
      void attempt(place, index);
    };
    const attempt = async (place: Place, index: number): Promise<void> => {
      try {
        const stream = await connect(place.address, { ...options, signal: over.signal });
        if (over.signal.aborted) stream.destroy();
        end(() => resolve({ place, stream }));
      } catch (error) {
        reasons[index] = `${formatRendezvousAddress(place.address)} (${reasonOf(error)})`;
        if (++failed === places.length) end(() => reject(new ConnectError(reasons)));
        else startNext();
      }
    };
    options.signal.addEventListener("abort", onAbort);
    if (options.signal.aborted) onAbort();
    else startNext();
  });
}

async function connect(given: RendezvousAddress, options: ConnectOptions): Promise<Duplex> {
  const address = { ...given, host: canonicalHost(given.host) };
  if (!options.allowPrivate && isIP(address.host) !== 0 && isPrivateAddress(address.host)) throw privateAddress();
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(DIAL_MS)]);
  return address.transport === "tcp"
    ? await connectTcp(address, options.allowPrivate, signal)
    : await connectWebSocket(address, options.allowPrivate, signal);
}

/** `127.1` and `2130706433` are names to a look-up, but addresses to a URL, which asks for no look-up. Here they are addresses. */
function canonicalHost(host: string): string {
  return new URL(`ws://${host.includes(":") ? `[${host}]` : host}/`).hostname.replace(/^\[(.*)\]$/, "$1");
}

async function connectTcp(
  { host, port }: RendezvousAddress,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<Duplex> {
  const socket = new Socket({ allowHalfOpen: true });
  socket
    .connect({ host, port, lookup: checkedLookup(allowPrivate) })
    .setNoDelay(true)
    .setKeepAlive(true);
  await opened(socket, "connect", socket, signal);
  return socket;
}

async function connectWebSocket(
  address: RendezvousAddress,
  allowPrivate: boolean,
  signal: AbortSignal,
): Promise<Duplex> {
  const { WebSocket } = await import("ws");
  const socket = new WebSocket(`${formatRendezvousAddress(address)}/v1/leg`, {
    ...WEBSOCKET_LIMITS,
    ...NO_DELAY,
    lookup: checkedLookup(allowPrivate),
    rejectUnauthorized: false, // nothing rests on TLS: what is carried is sealed from end to end
  });
  const stream = new WebSocketStream(socket);
  await opened(socket, "open", stream, signal);
  return stream;
}

/**
 * For net.connect() and tls.connect(), to which ws hands its options. ws itself switches the delay off after the upgrade alone;
 * until then the last flight of TLS and the request would wait for each other's acknowledgement.
 */
const NO_DELAY: object = { noDelay: true };

async function opened(emitter: EventEmitter, event: string, stream: Duplex, signal: AbortSignal): Promise<void> {
  stream.on("error", ignore); // whoever uses the stream hears of its close
  try {
    await once(emitter, event, { signal });
  } catch (error) {
    stream.destroy();
    throw signal.aborted ? signal.reason : error;
  }
}

/** The addresses that were checked are the ones connected to, so that no second look-up can say otherwise. */
function checkedLookup(allowPrivate: boolean): LookupFunction {
  return (host, options, callback) => {
    lookup(host, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, "");
      const allowed = allowPrivate ? addresses : addresses.filter(({ address }) => !isPrivateAddress(address));
      const [first] = allowed;
      if (first === undefined) return callback(privateAddress(), "");
      if (options.all === true) callback(null, allowed);
      else callback(null, first.address, first.family);
    });
  };
}

function privateAddress(): Error {
  return Object.assign(new Error("a private address"), { code: "PRIVATE" });
}

const REASONS: Readonly<Record<string, string>> = {
  PRIVATE: "a private address, which only a directory at a private address may name",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "no route",
  ENETUNREACH: "no network",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "DNS does not answer",
  ETIMEDOUT: "timeout",
};

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `timeout after ${DIAL_MS / 1000} s`;
  const code = "code" in error ? String(error.code) : "";
  return REASONS[code] ?? (code === "" ? error.message : code);
}

function ignore(): void {}
