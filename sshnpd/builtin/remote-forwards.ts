import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { quoted } from "../../keys/names.ts";
import { BUILTIN_LISTENERS, BUILTIN_LISTENER_CONNECTIONS } from "../../protocol/limits.ts";
import { carry } from "./carry.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { mayListen } from "./key-rights.ts";
import type { Connection, ServerChannel } from "./ssh2.ts";

/**
 * Ports of the device that lead to the client (`ssh -R`, RFC 4254 section 7.1): on loopback alone, whatever address is asked
 * for, as sshd does without GatewayPorts; and below 1024 for nobody but root, whoever sshnpd runs as.
 */
export function serveRemoteForwards(connection: Connection, context: ConnectionContext): void {
  const listening = new Map<string, Server>();
  let starting = 0;
  context.signal.addEventListener("abort", () => {
    for (const server of listening.values()) server.close();
  });
  connection.on("request", (accept, reject, name, info) => {
    if (name === "tcpip-forward" && "bindPort" in info) {
      starting++;
      listen(info.bindAddr, info.bindPort)
        .finally(() => starting--)
        .then(
          (port) => (port === undefined ? reject?.() : accept?.(port)),
          () => reject?.(),
        );
    } else if (name === "cancel-tcpip-forward" && "bindPort" in info) {
      const key = keyOf(info.bindAddr, info.bindPort);
      const server = listening.get(key);
      listening.delete(key);
      server?.close();
      if (server === undefined) reject?.();
      else accept?.();
    } else {
      reject?.();
    }
  });

  async function listen(address: string, wanted: number): Promise<number | undefined> {
    const { rights, account, log, signal } = context;
    const isPermitted = mayListen(rights, wanted) && !(isPrivileged(wanted) && account.uid !== 0);
    if (!isPermitted || signal.aborted || listening.size + starting > BUILTIN_LISTENERS) {
      log.info({ listen: { address: quoted(address), port: wanted } }, "a remote forward is refused");
      return undefined;
    }
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true });
    server.maxConnections = BUILTIN_LISTENER_CONNECTIONS;
    await once(server.listen(wanted, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const key = keyOf(address, port);
    if (context.signal.aborted || listening.has(key)) {
      server.close();
      return undefined;
    }
    listening.set(key, server);
    server.on("error", () => {}).on("connection", (socket) => bring(socket, address, port));
    return port;
  }

  function bring(socket: Socket, address: string, port: number): void {
    socket.on("error", () => {});
    const window = context.windows.open(context.visitor.client);
    if (window === undefined) return void socket.destroy();
    connection.forwardOut(
      address,
      port,
      socket.remoteAddress ?? "127.0.0.1",
      socket.remotePort ?? 0,
      (_error: unknown, channel: ServerChannel | undefined) => {
        if (channel === undefined || socket.destroyed) {
          socket.destroy();
          channel?.close();
          window.close();
          return;
        }
        context.track(carry(channel, socket, { ...context, window }));
      },
    );
  }
}

function keyOf(address: string, port: number): string {
  return `${port} ${address}`;
}

function isPrivileged(port: number): boolean {
  return port > 0 && port < 1024;
}
