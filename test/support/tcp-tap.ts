import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy of the test's own: it keeps all that passes and can be cut. */
export interface TcpTap extends AsyncDisposable {
  readonly port: number;
  /** Everything that passed so far: each direction of each connection in one piece, one after the other. */
  readonly recorded: Buffer;
  /** How many have come so far. */
  readonly connections: number;
  /** How many sockets are open, of both sides. */
  readonly open: number;
  /** Breaks all connections, as a network does that loses them. */
  cut(): void;
  /** Lets nothing more through, as a network does that has forgotten its connections. */
  silence(): void;
}

/** `target` is asked for at each connection. */
export async function startTcpTap(target: () => number): Promise<TcpTap> {
  const pieces: Buffer[][] = [];
  const sockets = new Set<Socket>();
  const keep = (socket: Socket): void => {
    const piece: Buffer[] = [];
    pieces.push(piece);
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: Buffer) => piece.push(chunk));
  };
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ port: target(), host: "127.0.0.1", allowHalfOpen: true });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      keep(socket);
      socket.pipe(other);
      socket.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const cut = (): void => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const silence = (): void => {
    for (const socket of sockets) socket.unpipe().pause();
  };
  return {
    port: (server.address() as AddressInfo).port,
    get recorded(): Buffer {
      return Buffer.concat(pieces.flat());
    },
    get connections(): number {
      return pieces.length / 2;
    },
    get open(): number {
      return sockets.size;
    },
    cut,
    silence,
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, "close");
    },
  };
}
