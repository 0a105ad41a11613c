import type { Socket } from "node:net";
import type { Attack } from "./attack.ts";
import { AttackingMember } from "./member.ts";
import { meetOwnLegs } from "./own-legs.ts";
import { pace } from "./traffic.ts";

const PAIRS_PER_SECOND = 5;

/** Sessions whose two legs one member brings and then leaves alone; some carry a byte now and then. */
export const idlePairs: Attack = {
  name: "idle-pairs",
  from: "elsewhere",
  surface: "rendezvous: joined legs on which nothing happens",
  async run(site, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    const pairs: Socket[] = [];
    let met = 0;
    const drip = setInterval(() => {
      for (const [i, socket] of pairs.entries()) if (i % 8 === 0 && socket.writable) socket.write("\0");
    }, 1_000);
    await pace(PAIRS_PER_SECOND, signal, () => {
      meetOwnLegs(member, site, pairs, signal).then(
        (legs) => (met += legs === undefined ? 0 : 1),
        () => 0, // cut off with the attack
      );
    });
    clearInterval(drip);
    const left = pairs.filter((socket) => !socket.closed).length;
    for (const socket of pairs) socket.destroy();
    if (met === 0) throw new Error("no two legs met");
    return `${met} sessions without a word, ${left} of ${pairs.length} legs there at the end`;
  },
};
