import { randomBytes } from "node:crypto";
import { EARLY_DATA_BYTES } from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import { AttackingMember, type AskedSession } from "./member.ts";
import { pace, Sockets } from "./traffic.ts";

const SOCKETS = 5_000;
const PER_SECOND = 400;
/** Each costs the device a handshake. */
const TICKETS_PER_SECOND = 10;

/** Legs to which nobody comes, with all the early data they may send: with tickets of the directory, and with none. */
export const unpairedLegs: Attack = {
  name: "unpaired-legs",
  from: "elsewhere",
  surface: "rendezvous: legs that wait, with valid and with invalid tickets",
  async run(site, signal) {
    const member = await AttackingMember.of(site.strangerKeys, site.address);
    const sockets = new Sockets(SOCKETS);
    const early = Buffer.alloc(EARLY_DATA_BYTES - 1024);
    let tickets = 0;
    let newest: AskedSession | undefined;
    const bringLeg = async (): Promise<void> => {
      const asked = await member.ask(signal);
      if ("refused" in asked || signal.aborted) return;
      tickets++;
      newest = asked;
      const leg = sockets.open(site.rendezvousPort);
      leg?.write(asked.hello("client", 1));
      leg?.write(early);
    };
    const asking = pace(TICKETS_PER_SECOND, signal, () => {
      void bringLeg().catch(() => {}); // refused, or cut off with the attack
    });
    const opened = await pace(PER_SECOND, signal, (n) => {
      const leg = sockets.open(site.rendezvousPort);
      const kind = n % 4;
      if (kind === 0 && newest !== undefined) leg?.write(newest.hello("client", n + 2));
      else if (kind === 1 && newest !== undefined) leg?.write(broken(newest.hello("device", n)));
      else leg?.write(unknownTicketKey(newest?.hello("client", n)));
      leg?.write(early);
    });
    await asking;
    await sockets.close();
    if (tickets === 0) throw new Error("no leg had a valid ticket");
    return `${opened} legs alone, ${tickets} tickets`;
  },
};

/** The hello with another signature of the directory. */
function broken(hello: Uint8Array): Uint8Array {
  const changed = hello.slice();
  changed.set(randomBytes(8), changed.length - 100);
  return changed;
}

/** A hello whose ticket says it is signed with a key that nobody has. */
function unknownTicketKey(hello: Uint8Array = new Uint8Array(300)): Uint8Array {
  const changed = hello.slice();
  changed.set(randomBytes(8), 3 + 2 + 3 + 2);
  return changed;
}
