import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { MEASURE_MS } from "../protocol/limits.ts";
import { distanceKey, SILENT } from "../protocol/messages/rendezvous-distances.ts";
import { parseRendezvousAddress } from "../protocol/rendezvous-address.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import type { ConnectOptions } from "./connect.ts";
import type { DistanceTable } from "./distance-table.ts";
import { roundTripTo } from "./look.ts";

/**
 * After a session has come about: notes those of its ticket that came first and were no good, and measures those that are due, this
 * one included, each by one connection and a hello that is none. What stays silent for MEASURE_MS while another one answers is
 * noted as that. `onNews` is called, and waited for, when something is noted: at once for the former, whose session may be short.
 * @throws the signal's reason; as `onNews`.
 */
export async function measureRendezvous(
  table: DistanceTable,
  entries: readonly TicketEntry[],
  leg: { readonly joined: Promise<void>; readonly rendezvous: Ed25519PublicKey },
  options: ConnectOptions & { readonly now: () => number; readonly onNews: () => Promise<void> | void },
): Promise<void> {
  const { now, onNews, signal } = options;
  await leg.joined;
  const met = entries.findIndex(({ key }) => key.equals(leg.rendezvous));
  for (const { key } of entries.slice(0, Math.max(0, met))) table.note(distanceKey(key), SILENT, now());
  if (met > 0) await onNews();
  const due = entries.filter(({ key }) => table.isDue(distanceKey(key), now()));
  const found = await Promise.all(
    due.map(async ({ key, addresses }) => {
      const places = addresses.map((address) => ({ address: parseRendezvousAddress(address) }));
      const limit = AbortSignal.any([signal, AbortSignal.timeout(MEASURE_MS)]);
      const ms = await roundTripTo(places, { ...options, signal: limit }).catch(() => SILENT);
      return { key: distanceKey(key), ms };
    }),
  );
  signal.throwIfAborted();
  // Where nobody answers it is this end's network that does not.
  const counts = found.some(({ ms }) => ms !== SILENT) || found.length < entries.length;
  if (!counts || found.length === 0) return;
  for (const { key, ms } of found) table.note(key, ms, now());
  await onNews();
}
