import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import type { AttackingMember } from "./member.ts";
import type { Site } from "./site.ts";

/**
 * Asks for a session and brings both of its legs; resolves when they have met. Undefined when there is no ticket. Each socket
 * is in `sockets` from its first moment on.
 */
export async function meetOwnLegs(
  member: AttackingMember,
  { rendezvousPort }: Site,
  sockets: Socket[],
  signal: AbortSignal,
): Promise<readonly [client: Socket, device: Socket] | undefined> {
  const asked = await member.ask(signal);
  if ("refused" in asked || signal.aborted) return undefined;
  const bring = (role: "client" | "device"): Socket => {
    const socket = connect({ port: rendezvousPort, host: "127.0.0.1" }).on("error", () => {});
    sockets.push(socket);
    socket.write(asked.hello(role, 1000));
    return socket;
  };
  const [client, device] = [bring("client"), bring("device")];
  await once(client, "readable", { signal });
  const [status] = (client.read(1) as Buffer | null) ?? [];
  if (status !== LEG_STATUS.joined) throw new Error(`the rendezvous does not join two legs: ${status}`);
  return [client, device];
}
