import { type EventEmitter, once } from "node:events";
import { isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { proxyFor, reportCertificate } from "../directory/client.ts";
import { SetupError } from "../keys/errors.ts";
import { DIAL_MS, DIAL_STAGGER_MS } from "../protocol/limits.ts";
import { formatRendezvousAddress, type RendezvousAddress } from "../protocol/rendezvous-address.ts";
import { ConnectProgress, PrivateAddressError, reasonOf } from "./connect-progress.ts";
import { isPrivateAddress } from "./ip-address.ts";
import { isPrivateName, resolver } from "./resolver.ts";
import { WEBSOCKET_LIMITS, WebSocketStream } from "./web-socket-stream.ts";

export interface ConnectOptions {
  /** Whether loopback, link-local and private addresses are connected to. Names that a proxy looks up are its to judge. */
  readonly allowPrivate: boolean;
  readonly signal: AbortSignal;
  /** Told when a TLS certificate does not verify, which stops nothing. */
  readonly warn?: ((text: string) => void) | undefined;
}

/** None of the addresses could be connected to; `reasons` has one for each, in words. */
export class ConnectError extends Error {
  override readonly name = "ConnectError";
  readonly reasons: readonly string[];

  /** `cause`: what one of them failed with. */
  constructor(reasons: readonly string[], cause?: unknown) {
    super(reasons.join("; "), { cause });
    this.reasons = reasons;
  }
}

/**
 * Connects to the first of some places that answers: each gets a head start of DIAL_STAGGER_MS over the next, as in
 * RFC 8305. The other attempts are given up.
 * @throws {ConnectError} when none answers; {SetupError} when the environment names no proper proxy; the signal's reason when it
 * is aborted.
 */
export function connectFirst<Place extends { readonly address: RendezvousAddress }>(
  places: readonly Place[],
  options: ConnectOptions,
): Promise<{ readonly place: Place; readonly stream: Duplex }> {
  return new Promise((resolve, reject) => {
    const over = new AbortController();
    const reasons: string[] = [];
    let cause: unknown;
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
      const progress = new ConnectProgress();
      try {
        const stream = await connect(place.address, { ...options, signal: over.signal }, progress);
        if (over.signal.aborted) stream.destroy();
        end(() => resolve({ place, stream }));
      } catch (error) {
        if (error instanceof SetupError) return end(() => reject(error));
        reasons[index] = `${formatRendezvousAddress(place.address)} (${reasonOf(error, progress)})`;
        cause ??= error;
        if (++failed === places.length) end(() => reject(new ConnectError(reasons, cause)));
        else startNext();
      }
    };
    options.signal.addEventListener("abort", onAbort);
    if (options.signal.aborted) onAbort();
    else startNext();
  });
}

async function connect(given: RendezvousAddress, options: ConnectOptions, progress: ConnectProgress): Promise<Duplex> {
  const address = { ...given, host: canonicalHost(given.host) };
  const { host, port, transport } = address;
  const { allowPrivate } = options;
  if (!allowPrivate && isIP(host) !== 0 && isPrivateAddress(host)) throw new PrivateAddressError();
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(DIAL_MS)]);
  const openTunnel = await proxyFor({ kind: PROXY_KINDS[transport], host, port });
  if (openTunnel !== undefined && !allowPrivate && isIP(host) === 0 && isPrivateName(host))
    throw new PrivateAddressError();
  const tunnel = await openTunnel?.({ signal, limitMs: DIAL_MS });
  if (tunnel !== undefined) progress.connected("through the proxy");
  const dial = transport === "tcp" ? connectTcp : connectWebSocket;
  return await dial(address, { ...options, signal }, progress, tunnel);
}

const PROXY_KINDS = { tcp: "tcp", ws: "http", wss: "https" } as const;

/** `127.1` and `2130706433` are names to a look-up, but addresses to a URL, which asks for no look-up. Here they are addresses. */
function canonicalHost(host: string): string {
  return new URL(`ws://${host.includes(":") ? `[${host}]` : host}/`).hostname.replace(/^\[(.*)\]$/, "$1");
}

async function connectTcp(
  { host, port }: RendezvousAddress,
  { allowPrivate, signal }: ConnectOptions,
  progress: ConnectProgress,
  tunnel: Socket | undefined,
): Promise<Duplex> {
  if (tunnel !== undefined) return tunnel.setKeepAlive(true);
  const socket = new Socket({ allowHalfOpen: true });
  socket
    .connect({ host, port, lookup: resolver(allowPrivate, progress) })
    .setNoDelay(true)
    .setKeepAlive(true);
  await opened(socket, "connect", socket, signal);
  return socket;
}

async function connectWebSocket(
  address: RendezvousAddress,
  { allowPrivate, signal, warn }: ConnectOptions,
  progress: ConnectProgress,
  tunnel: Socket | undefined,
): Promise<Duplex> {
  const { WebSocket } = await import("ws");
  const connection = tunnel === undefined ? undefined : await overTunnel(address, tunnel);
  const socket = new WebSocket(`${formatRendezvousAddress(address)}/v1/leg`, {
    ...WEBSOCKET_LIMITS,
    ...NO_DELAY,
    lookup: resolver(allowPrivate, progress),
    rejectUnauthorized: false, // nothing rests on TLS: what is carried is sealed from end to end
    ...(connection !== undefined && { createConnection: () => connection }),
    finishRequest: (request) => {
      request.once("socket", (below) => below.once("connect", () => progress.connected("TCP ok")));
      request.end();
    },
  });
  if (address.transport === "wss" && warn !== undefined) {
    socket.once("upgrade", ({ socket: secure }) =>
      reportCertificate(secure as TLSSocket, formatRendezvousAddress(address), warn),
    );
  }
  const stream = new WebSocketStream(socket);
  await opened(socket, "open", stream, signal);
  return stream;
}

async function overTunnel({ transport, host }: RendezvousAddress, tunnel: Socket): Promise<Socket> {
  if (transport !== "wss") return tunnel;
  const { connect: secure } = await import("node:tls");
  return secure({ socket: tunnel, rejectUnauthorized: false, ...(isIP(host) === 0 && { servername: host }) });
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

function ignore(): void {}
