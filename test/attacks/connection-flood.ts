import type { Attack } from "./attack.ts";
import { pace, Sockets } from "./traffic.ts";

/** At each port; below what this process may open, and far above what the services keep of strangers. */
const SOCKETS = 8_000;
const PER_SECOND = 600;

/** Connections that are opened and kept, until the services have as many as they may have. */
export const connectionFlood: Attack = {
  name: "connection-flood",
  surface: "every port: as many silent connections as there can be",
  async run(target, signal) {
    const atDirectory = new Sockets(SOCKETS, "wait");
    const atRendezvous = new Sockets(SOCKETS, "wait");
    await pace(PER_SECOND, signal, (n) => {
      if (n % 2 === 0) atDirectory.open(target.directoryPort);
      else atRendezvous.open(target.rendezvousPort);
    });
    const opened = atDirectory.opened + atRendezvous.opened;
    await Promise.all([atDirectory.close(), atRendezvous.close()]);
    return `${opened} connections`;
  },
};
