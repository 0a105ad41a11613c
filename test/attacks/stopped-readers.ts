import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import type { Target } from "./target.ts";
import { pace, Sockets, upgradeTo, webSocketFrame } from "./traffic.ts";

const PER_SECOND = 40;
/** Pairs of legs that one member brings together, of which one only sends and the other never reads. */
const PAIRS_PER_SECOND = 3;

const CHUNK = Buffer.alloc(64 * 1024);
const KEYS = "GET /v1/keys HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
const PINGS = Buffer.concat(Array.from({ length: 100 }, () => webSocketFrame(0x89, Buffer.alloc(125))));

/** Whoever asks and never reads: answers, pongs, and sessions of two legs that one attacker holds. */
export const stoppedReaders: Attack = {
  name: "stopped-readers",
  surface: "directory: answers and links; rendezvous: legs, and what goes from one to the other",
  async run(target, signal) {
    const member = await AttackingMember.of(await target.stranger(), target.stack.address);
    const sockets = new Sockets(512);
    const pairs: Socket[] = [];
    let met = 0;
    const bringing = pace(PAIRS_PER_SECOND, signal, () => {
      void bringPair(member, target, pairs, signal).then(
        (hasMet) => (met += hasMet ? 1 : 0),
        () => 0, // refused, or cut off with the attack
      );
    });
    const sent = await pace(PER_SECOND, signal, (n) => {
      const isLink = n % 4 === 0;
      const socket = sockets.open(n % 2 === 0 ? target.directoryPort : target.rendezvousPort)?.pause();
      if (n % 4 === 2) socket?.write(KEYS);
      else {
        socket?.write(upgradeTo(isLink ? "/v1/link" : "/v1/leg"));
        socket?.write(PINGS);
      }
    });
    await bringing;
    for (const socket of pairs) socket.destroy();
    await sockets.close();
    return `${sent} connections and ${met} sessions without a reader`;
  },
};

/** Brings both legs of a session, and sends into it as much as it takes. */
async function bringPair(
  member: AttackingMember,
  { rendezvousPort }: Target,
  pairs: Socket[],
  signal: AbortSignal,
): Promise<boolean> {
  const asked = await member.ask(signal);
  if (asked === undefined) return false;
  const [client, device] = (["client", "device"] as const).map((role) => {
    const socket = connect({ port: rendezvousPort, host: "127.0.0.1" }).on("error", () => {});
    pairs.push(socket);
    socket.write(asked.hello(role, 1000));
    return socket;
  });
  if (client === undefined || device === undefined || signal.aborted) return false;
  await once(client, "readable", { signal });
  device.pause();
  client.pause();
  const fill = (): void => {
    while (!client.destroyed && client.write(CHUNK));
  };
  client.on("drain", fill);
  fill();
  return true;
}
