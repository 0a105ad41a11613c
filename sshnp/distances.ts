import * as v from "valibot";
import { fromBase64, hex } from "../keys/bytes.ts";
import type { Fingerprint } from "../keys/openssh.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { readState, writeState } from "../keys/state-files.ts";
import { RENDEZVOUS_DISTANCES } from "../protocol/limits.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import { DistanceTable, type Leg, measureRendezvous } from "../rendezvous/client.ts";

/**
 * What this client has measured of one directory's rendezvous; nothing when that cannot be read: it is learnt anew. No directory
 * is told of another one's.
 */
export async function rememberedDistances(keys: PrivateFolder, directory: Fingerprint): Promise<DistanceTable> {
  const file = await readState(keys, fileOf(directory), distancesSchema).catch(() => undefined);
  return new DistanceTable(file?.measured);
}

/** Measures the rendezvous of a session while it lasts, and remembers that for the next one. No session depends on it. */
export function measureInBackground(
  { keys, directory }: { readonly keys: PrivateFolder; readonly directory: Fingerprint },
  table: DistanceTable,
  entries: readonly TicketEntry[],
  leg: Leg,
  { allowPrivate, signal }: { readonly allowPrivate: boolean; readonly signal: AbortSignal },
): void {
  const closed = new AbortController();
  leg.socket.once("close", () => closed.abort());
  measureRendezvous(table, entries, leg, {
    allowPrivate,
    signal: AbortSignal.any([signal, closed.signal]),
    now: Date.now,
    onNews: () => writeState(keys, fileOf(directory), distancesSchema, { v: 1, measured: table.measured }),
  }).catch(() => {}); // it is measured another time
}

function fileOf(directory: Fingerprint): string {
  return `rendezvous-distances.${hex(fromBase64(`${directory.slice("SHA256:".length)}=`, 32))}.json`;
}

const whole = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
/** `state/rendezvous-distances.HEX.json` of a keys folder. */
export const distancesSchema = v.strictObject({
  v: v.literal(1),
  measured: v.pipe(
    v.array(
      v.strictObject({
        key: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
        ms: v.pipe(whole, v.maxValue(65_535)),
        at: whole,
      }),
    ),
    v.maxLength(RENDEZVOUS_DISTANCES),
  ),
});
