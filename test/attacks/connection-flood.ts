import { ARRIVING_LEGS_AT_MOST, STRANGERS } from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import { pace, Sockets } from "./traffic.ts";

/** At each port; below what this process may open, and far above what the services keep of strangers. */
const SOCKETS = 8_000;
const PER_SECOND = 600;
/** At the start, all at once, and again every so often: more than may stay silent. */
const BURST = { directory: STRANGERS + 500, rendezvous: ARRIVING_LEGS_AT_MOST + 200 };
const BURST_EVERY = 10 * PER_SECOND;

/** Connections that are opened and kept, at once and one after the other, until the services have as many as they may have. */
export const connectionFlood: Attack = {
  name: "connection-flood",
  from: "elsewhere",
  surface: "every port: as many silent connections as there can be",
  async run(site, signal) {
    const atDirectory = new Sockets(SOCKETS, "wait");
    const atRendezvous = new Sockets(SOCKETS, "wait");
    await pace(PER_SECOND, signal, (n) => {
      if (n % BURST_EVERY === 0) {
        for (let i = 0; i < BURST.directory; i++) atDirectory.open(site.directoryPort);
        for (let i = 0; i < BURST.rendezvous; i++) atRendezvous.open(site.rendezvousPort);
      }
      if (n % 2 === 0) atDirectory.open(site.directoryPort);
      else atRendezvous.open(site.rendezvousPort);
    });
    const counts = [atDirectory, atRendezvous].map(({ opened, closedByPeer }) => ({ opened, closedByPeer }));
    await Promise.all([atDirectory.close(), atRendezvous.close()]);
    const [directory, rendezvous] = counts;
    if (directory?.closedByPeer === 0) throw new Error("the directory has kept all who say nothing");
    if (rendezvous?.closedByPeer === 0) throw new Error("the rendezvous has kept all who say nothing");
    return `${directory?.opened} connections to the directory, which closed ${directory?.closedByPeer}, ${rendezvous?.opened} to the rendezvous, which closed ${rendezvous?.closedByPeer}`;
  },
};
