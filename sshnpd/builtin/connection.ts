import { connect } from "node:net";
import type { TcpipRequestInfo } from "ssh2";
import { quoted } from "../../keys/names.ts";
import { BUILTIN_FORWARDS, BUILTIN_SESSIONS, SERVER_CONNECT_MS } from "../../protocol/limits.ts";
import { carry } from "./carry.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { mayOpen } from "./key-rights.ts";
import { serveRemoteForwards } from "./remote-forwards.ts";
import { serveSession } from "./session.ts";
import type { Connection, ServerChannel } from "./ssh2.ts";

/** Serves the channels of a connection. Agent and X11 forwarding are refused by having nobody who listens. */
export function serveConnection(connection: Connection, context: ConnectionContext): void {
  let sessions = 0;
  let forwards = 0;
  connection.on("session", (accept, reject) => {
    if (sessions >= BUILTIN_SESSIONS) return reject();
    sessions++;
    const session = accept();
    session.on("close", () => sessions--);
    serveSession(session, context);
  });
  connection.on("tcpip", (accept, reject, target: TcpipRequestInfo) => {
    const { destIP: host, destPort: port } = target;
    const isPermitted = mayOpen(context.rights, host, port) && context.mayForward?.(host, port) === true;
    if (!isPermitted || forwards >= BUILTIN_FORWARDS) {
      context.log.info({ peer: { host: quoted(host), port } }, "a forward is refused");
      return reject();
    }
    forwards++;
    context.track(forward(accept, reject, target, context).finally(() => forwards--));
  });
  serveRemoteForwards(connection, context);
}

async function forward(
  accept: () => ServerChannel,
  reject: () => void,
  { destIP: host, destPort: port }: TcpipRequestInfo,
  context: ConnectionContext,
): Promise<void> {
  const { signal } = context;
  const socket = connect({ host, port, allowHalfOpen: true, signal });
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
