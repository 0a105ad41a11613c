import type { Socket } from "node:net";

/** Connections through a proxy, with the host that it was asked for. */
const proxied = new WeakMap<Socket, string>();

export function noteProxied(socket: Socket, host: string): void {
  proxied.set(socket, host);
}

/**
 * The IP address at the other end, as Node prints it. Through a proxy it is that of the target, where it was named by address;
 * where the proxy has looked a name up nobody here knows it, and it is undefined.
 */
export function reachedAddress(socket: Socket): string | undefined {
  const host = proxied.get(socket);
  if (host === undefined) return socket.remoteAddress;
  return /^[0-9.]+$|:/.test(host) ? host : undefined;
}

/** As {@link noteProxied}, for what is spoken over a connection, such as TLS. */
export function noteOver(socket: Socket, below: Socket): void {
  const host = proxied.get(below);
  if (host !== undefined) proxied.set(socket, host);
}
