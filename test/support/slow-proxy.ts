import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { BACKLOG } from "../../protocol/limits.ts";

/** A TCP proxy that is as slow as a long line. */
export interface SlowProxy extends AsyncDisposable {
  readonly port: number;
}

export interface SlowProxyOptions {
  /** PEM; ends TLS at the far end of the line, as a reverse proxy does. */
  readonly tls?: { readonly cert: string; readonly key: string };
}

/**
 * Leads to `target` over a line of `roundTripMs`. Each byte takes half of it. A new connection takes the whole of it first, as
 * TCP's own handshake does over a real line, which a plain proxy would spare: connect and an echo take two round trips.
 */
export async function startSlowProxy(
  target: () => number,
  roundTripMs: number,
  { tls }: SlowProxyOptions = {},
): Promise<SlowProxy> {
  const behind = tls === undefined ? undefined : await startTlsEnd(target, tls);
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    sockets.add(socket.setNoDelay(true));
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    keep(near);
    // The caller believes to be connected already; on a real line what it says now leaves a round trip later.
    after(roundTripMs, () => {
      const far = connect({ port: behind?.port ?? target(), host: "127.0.0.1", allowHalfOpen: true });
      keep(far);
      carry(near, far, roundTripMs / 2);
      carry(far, near, roundTripMs / 2);
    });
  });
  server.listen({ port: 0, host: "127.0.0.1", backlog: BACKLOG });
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
      await behind?.[Symbol.asyncDispose]();
    },
  };
}

/** Timers of Node fire up to a millisecond early or late; none here may be early. */
function after(milliseconds: number, action: () => void): void {
  setTimeout(action, Math.ceil(milliseconds));
}

function carry(from: Duplex, to: Duplex, delayMs: number): void {
  from.on("data", (chunk: Buffer) => after(delayMs, () => to.writable && to.write(chunk)));
  from.on("end", () => after(delayMs, () => to.writable && to.end()));
  from.on("close", () => after(delayMs, () => to.destroy()));
}

async function startTlsEnd(target: () => number, tls: { cert: string; key: string }): Promise<SlowProxy> {
  const server = createTlsServer({ ...tls, allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: target(), host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
    near.pipe(far).pipe(near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, "close");
    },
  };
}
