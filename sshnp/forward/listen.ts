import { once } from "node:events";
import { chmod, lstat, unlink } from "node:fs/promises";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { FORWARD_CONNECTIONS } from "../../protocol/limits.ts";
import type { Bind } from "./spec.ts";
import { cannotListen } from "./texts.ts";

/** What listens for one forward: one port at one address or two, or one Unix socket. */
export interface Listening {
  /** As people write them: `127.0.0.1`, `::1`; of a Unix socket its path. */
  readonly addresses: readonly string[];
  /** The same at all of them; undefined for a Unix socket. */
  readonly port: number | undefined;
  close(): void;
}

type OnConnection = (socket: Socket) => void;

/** Listens at a port; 0 for one that is free. @throws {SetupError} E_LISTEN. */
export async function listenAt(bind: Bind, port: number, onConnection: OnConnection): Promise<Listening> {
  if (bind !== "loopback") {
    const server = await listenTcp(bind.address, port, onConnection);
    return listening([bind.address], portOf(server), [server]);
  }
  for (let tries = 1; ; tries++) {
    const first = await listenTcp("127.0.0.1", port, onConnection);
    try {
      const second = await listenTcp("::1", portOf(first), onConnection);
      return listening(["127.0.0.1", "::1"], portOf(first), [first, second]);
    } catch (error) {
      if (isWithoutAddress(error)) return listening(["127.0.0.1"], portOf(first), [first]);
      first.close();
      // Whoever has the other half of `localhost` would get half of the connections.
      if (port !== 0 || tries === PORT_TRIES) throw error;
    }
  }
}

/**
 * Listens at a Unix socket that only this user can connect to. One that nobody listens at any more is replaced.
 * @throws {SetupError} E_LISTEN.
 */
export async function listenAtSocket(path: string, onConnection: OnConnection): Promise<Listening> {
  await removeStale(path).catch((error: unknown) => {
    throw cannotListen(path, error);
  });
  const server = newServer(onConnection);
  const before = process.umask(0o177); // the socket is made within listen(), and is nobody else's at any moment
  try {
    server.listen(path);
  } finally {
    process.umask(before);
  }
  await isListening(server, path);
  await chmod(path, 0o600);
  return listening([path], undefined, [server]);
}

/** Ports chosen by the system for 127.0.0.1 that are taken at ::1. */
const PORT_TRIES = 16;

async function listenTcp(host: string, port: number, onConnection: OnConnection): Promise<Server> {
  const server = newServer(onConnection);
  server.listen({ host, port, ipv6Only: host === "::1" });
  await isListening(server, host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
  return server;
}

function newServer(onConnection: OnConnection): Server {
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, onConnection);
  server.maxConnections = FORWARD_CONNECTIONS;
  return server;
}

async function isListening(server: Server, place: string): Promise<void> {
  try {
    await once(server, "listening");
  } catch (error) {
    throw cannotListen(place, error);
  }
  server.on("error", () => {}); // such as too many open files: the connection is lost, and no more
}

function listening(addresses: readonly string[], port: number | undefined, servers: readonly Server[]): Listening {
  return {
    addresses,
    port,
    close: () => {
      for (const server of servers) server.close();
    },
  };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

function isWithoutAddress(error: unknown): boolean {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error && "code" in cause && ["EADDRNOTAVAIL", "EAFNOSUPPORT"].includes(String(cause.code));
}

async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw Object.assign(new Error("no socket"), { code: "ENOTSOCK" });
  const socket = connect(path);
  try {
    await once(socket, "connect");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ECONNREFUSED") return await unlink(path);
    throw error;
  } finally {
    socket.destroy();
  }
  throw Object.assign(new Error("in use"), { code: "EADDRINUSE" });
}
