import type { BrokerLinks } from "../broker-links.ts";
import type { LinkServer } from "../link-server.ts";
import type { Presence } from "../presence.ts";
import type { Requests } from "../requests.ts";
import type { Sessions } from "../sessions.ts";
import type { ReplicaHost, Replicas } from "./replicas.ts";

/** Who in this process hears what other directories say. */
export function replicaHost({
  presence,
  sessions,
  links,
  requests,
  waking,
  replicas,
}: {
  readonly presence: Presence;
  readonly sessions: Sessions;
  readonly links: LinkServer;
  readonly requests: Requests;
  readonly waking: BrokerLinks | undefined;
  readonly replicas: Pick<Replicas, "disconnected">;
}): ReplicaHost {
  return {
    link: (device) => presence.get(device),
    answered: (device, answer) => void sessions.answer(device, answer),
    unwoken: (sid) => sessions.unwoken(sid),
    gone: (sid, at) => sessions.gone(sid, at),
    atBroker: (device) => waking?.device(device),
    tell: async (subjects) => (await waking?.tell(subjects)) === true,
    probe: async (device) => (await waking?.probe(device)) === true,
    isBack: (device, found) => sessions.deviceIsBack(device, found),
    isAtBroker: async (device) => {
      if (presence.get(device) !== undefined) {
        const at = await waking?.since(device);
        const link = presence.get(device);
        if (link !== undefined && at !== undefined) {
          // Or all would go on asking it where it is no more.
          if (presence.leave(device, at)) await replicas.disconnected(device, link);
          else waking?.left(device, at);
        }
      }
      if (!sessions.hasFor(device)) return;
      const found = await presence.find(device);
      if (found !== undefined) sessions.deviceIsBack(device, found);
    },
    said: async (subjects) => {
      await links.saidElsewhere(subjects);
      await requests.said(subjects);
    },
    withdraw: (sid, sender) => void sessions.withdraw(sid, sender),
    lost: (device) => links.changedHands(device),
    taken: (sid, sender) => sessions.takenElsewhere(sid, sender),
    missed: async () => {
      await links.tellAgain();
      await requests.missed();
    },
  };
}
