import { base64, fromBase64 } from "../../keys/bytes.ts";
import { type Distances, encodeDistances, parseDistances } from "../../protocol/messages/rendezvous-distances.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import type { Operation } from "../database.ts";
import type { Party } from "../presence.ts";
import { DISTANCES, parseEntry, put } from "../tables.ts";

/** Keeps what a device has told on a link, whose id is `link` in hex. */
export function distancesOperation(party: Party, link: string, distances: Distances): Operation {
  return put(DISTANCES, bindingSubject(party), { link, distances: base64(encodeDistances(distances)) });
}

/** What was told on that link, not on one before it. @throws {UnavailableError} E_STORAGE. */
export function distancesOf(link: string, entry: string | undefined): Distances | undefined {
  if (entry === undefined) return undefined;
  const measured = parseEntry(DISTANCES, entry);
  return measured.link === link ? parseDistances(fromBase64(measured.distances)) : undefined;
}
