import type { Socket } from "node:net";
import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import { carryBulk } from "./honest-bulk.ts";
import { meetOwnLegs } from "./own-legs.ts";
import type { Site } from "./site.ts";
import { pace, Sockets, upgradeTo, webSocketFrame } from "./traffic.ts";

const PER_SECOND = 40;
/** Pairs of legs that one member brings together, of which one only sends and the other never reads. */
const PAIRS_PER_SECOND = 5;

const CHUNK = Buffer.alloc(64 * 1024);
const KEYS = "GET /v1/keys HTTP/1.1\r\nHost: x\r\n\r\n".repeat(20);
const PINGS = Buffer.concat(Array.from({ length: 100 }, () => webSocketFrame(0x89, Buffer.alloc(125))));

/** Whoever asks and never reads: answers, pongs, and sessions of two legs that one attacker holds. */
export const stoppedReaders: Attack = {
  name: "stopped-readers",
  from: "elsewhere",
  surface: "directory: answers and links; rendezvous: legs, and what goes from one to the other",
  // What the first transfers ever make the processes grow by is no doing of the attack's.
  async prepare(target) {
    await carryBulk(target, AbortSignal.abort());
    await carryBulk(target, AbortSignal.abort());
  },
  async run(site, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    const sockets = new Sockets(512);
    const pairs: Socket[] = [];
    let met = 0;
    const bringing = pace(PAIRS_PER_SECOND, signal, () => {
      void fillPair(member, site, pairs, signal).then(
        (hasMet) => (met += hasMet ? 1 : 0),
        () => 0, // refused, or cut off with the attack
      );
    });
    const sent = await pace(PER_SECOND, signal, (n) => {
      const isLink = n % 4 === 0;
      const socket = sockets.open(n % 2 === 0 ? site.directoryPort : site.rendezvousPort)?.pause();
      if (n % 4 === 2) socket?.write(KEYS);
      else {
        socket?.write(upgradeTo(isLink ? "/v1/link" : "/v1/leg"));
        socket?.write(PINGS);
      }
    });
    await bringing;
    for (const socket of pairs) socket.destroy();
    if (met === 0) throw new Error("no two legs met");
    await sockets.close();
    return `${sent} connections and ${met} sessions without a reader`;
  },
  meanwhile: carryBulk,
};

/** Brings both legs of a session, and sends into it as much as it takes. */
async function fillPair(member: AttackingMember, site: Site, pairs: Socket[], signal: AbortSignal): Promise<boolean> {
  const [client, device] = (await meetOwnLegs(member, site, pairs, signal)) ?? [];
  if (client === undefined || device === undefined) return false;
  device.pause();
  client.pause();
  const fill = (): void => {
    while (!client.destroyed && client.write(CHUNK));
  };
  client.on("drain", fill);
  fill();
  return true;
}
