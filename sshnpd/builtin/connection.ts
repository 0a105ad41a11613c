import { connect } from "node:net";
import type { TcpipRequestInfo } from "ssh2";
import { quoted } from "../../keys/names.ts";
import { BUILTIN_FORWARDS, BUILTIN_SESSIONS, SERVER_CONNECT_MS } from "../../protocol/limits.ts";
import { boundedLookup } from "../server-lookup.ts";
import { carry } from "./carry.ts";
import type { ChannelContext, ConnectionContext } from "./connection-context.ts";
import { mayOpen } from "./key-rights.ts";
import { serveRemoteForwards } from "./remote-forwards.ts";
import { serveSession } from "./session.ts";
import { type Connection, forgetSession, narrowWindows, type ServerChannel } from "./ssh2.ts";

/** Serves the channels of a connection. Agent and X11 forwarding are refused by having nobody who listens. */
export function serveConnection(connection: Connection, context: ConnectionContext): void {
  const { visitor, windows, rights, log } = context;
  let sessions = 0;
  let forwards = 0;
  narrowWindows(connection);
  connection.on("session", (accept, reject) => {
    const window = sessions < BUILTIN_SESSIONS ? windows.open(visitor.client) : undefined;
    if (window === undefined) return reject();
    sessions++;
    const session = accept();
    // When the connection is cut, ssh2 says nothing of its sessions.
    const over = (): void => window.close();
    context.signal.addEventListener("abort", over, { once: true });
    // Once: ssh2 says it for each CHANNEL_CLOSE that comes for a session in which nothing was started.
    session.once("close", () => {
      over();
      context.signal.removeEventListener("abort", over);
      forgetSession(connection, session);
    });
    const giveBack = (): void => void sessions--;
    serveSession(session, { ...context, window }).then(giveBack, giveBack);
  });
  connection.on("tcpip", (accept, reject, target: TcpipRequestInfo) => {
    const { destIP: host, destPort: port } = target;
    const isPermitted = isPort(port) && mayOpen(rights, host, port) && forwards < BUILTIN_FORWARDS;
    const window = isPermitted ? windows.open(visitor.client) : undefined;
    if (window === undefined) {
      log.info({ peer: { host: quoted(host), port } }, "a forward is refused");
      return reject();
    }
    forwards++;
    const work = forward(accept, reject, target, { ...context, window }).finally(() => {
      forwards--;
      window.close();
    });
    context.track(work);
  });
  serveRemoteForwards(connection, context);
}

async function forward(
  accept: () => ServerChannel,
  reject: () => void,
  { destIP: host, destPort: port }: TcpipRequestInfo,
  context: ChannelContext,
): Promise<void> {
  const { signal } = context;
  const socket = connect({ host, port, lookup: boundedLookup, allowHalfOpen: true, signal });
  const isConnected = await new Promise<boolean>((resolve) => {
    socket.setTimeout(SERVER_CONNECT_MS, () => resolve(false));
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  });
  socket.on("error", () => {});
  if (!isConnected) {
    socket.destroy();
    return reject();
  }
  socket.setTimeout(0);
  await carry(accept(), socket, context);
}

/** On the wire it has 32 bits (RFC 4254 section 7.2). */
function isPort(port: number): boolean {
  return port >= 1 && port <= 0xffff;
}
