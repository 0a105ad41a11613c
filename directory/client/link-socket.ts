import { isIP, type Socket } from "node:net";
import type { WebSocket } from "ws";
import {
  DIRECTORY_CONNECT_MS,
  LINK_BUFFERED_CHUNKS,
  LINK_FRAGMENTS,
  LINK_MESSAGE_BYTES,
} from "../../protocol/limits.ts";
import { LINK, METERED_LINK } from "../link-routes.ts";
import { routeUrl, unreachable } from "./http-exchange.ts";
import { connectPersistently, type Place } from "./persistent-connect.ts";
import { placeOf } from "./place.ts";
import { proxyFor } from "./proxy.ts";
import { noteOver } from "./reached.ts";

export { reachedAddress } from "./reached.ts";

/**
 * Begins a link's WebSocket: it is connected, from the address that `onConnected` is told, and about to ask for the upgrade.
 * @throws {UnavailableError} E_DIRECTORY, its cause a NobodyThereError when nobody was reached; the signal's reason.
 */
export async function openLinkSocket(
  base: URL,
  signal: AbortSignal,
  {
    onConnected,
    isMetered,
  }: {
    readonly onConnected?: ((localAddress: string | undefined) => void) | undefined;
    readonly isMetered?: boolean | undefined;
  } = {},
): Promise<WebSocket> {
  const { WebSocket: ClientSocket } = await import("ws");
  const url = routeUrl(base, isMetered === true ? METERED_LINK : LINK);
  const { isSecure, ...place } = placeOf(url);
  const connected = await connectTo(place, isSecure, signal).catch((cause: unknown) => {
    throw signal.aborted ? signal.reason : unreachable(base, cause);
  });
  onConnected?.(connected.localAddress);
  const stream = isSecure ? await secure(connected, place.host) : connected;
  url.protocol = url.protocol.replace("http", "ws");
  return new ClientSocket(url, {
    createConnection: () => stream,
    perMessageDeflate: false,
    maxPayload: LINK_MESSAGE_BYTES,
    maxFragments: LINK_FRAGMENTS,
    maxBufferedChunks: LINK_BUFFERED_CHUNKS,
    handshakeTimeout: DIRECTORY_CONNECT_MS,
  });
}

async function connectTo(place: Place, isSecure: boolean, signal: AbortSignal): Promise<Socket> {
  const openTunnel = await proxyFor({ kind: isSecure ? "https" : "http", ...place });
  if (openTunnel === undefined) return await connectPersistently(place, signal);
  return await openTunnel({ signal, limitMs: DIRECTORY_CONNECT_MS });
}

/** TLS over a connection. Whether the certificate verifies is reported at the upgrade, and stops nothing. */
async function secure(socket: Socket, host: string): Promise<Socket> {
  const { connect } = await import("node:tls");
  const over = connect({ socket, rejectUnauthorized: false, ...(isIP(host) === 0 && { servername: host }) });
  noteOver(over, socket);
  return over;
}
