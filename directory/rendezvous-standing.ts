import type { SignedText } from "../keys/signed-text.ts";
import { type Distances, distanceKey } from "../protocol/messages/rendezvous-distances.ts";
import { RENDEZVOUS_SILENCE_MS, TICKET_ENTRIES, TICKET_ENTRIES_BYTES } from "../protocol/limits.ts";
import type { RefusalCode } from "../protocol/refusal-codes.ts";
import type { Verified } from "../protocol/statement-fields.ts";
import type { RendezvousStatement } from "../protocol/statements.ts";
import { entriesLength, type TicketEntry } from "../protocol/ticket.ts";
import { inOrder } from "./rendezvous-choice.ts";
import type { RendezvousRecord, ReportRecord } from "./records.ts";

/** A rendezvous of this directory, as the store has it and as it last said of itself. */
export interface Rendezvous {
  readonly name: string;
  readonly record: RendezvousRecord;
  readonly statement: Verified<RendezvousStatement> | undefined;
  readonly report: ReportRecord | undefined;
}

/** What a rendezvous is answered. */
export type RendezvousAnswer =
  | {
      readonly name: string;
      readonly statement: SignedText;
      readonly addresses: readonly string[];
      readonly isNew: boolean;
    }
  /** `wait`: ms, for E_RATE. */
  | { readonly refused: RefusalCode; readonly wait?: number };

/** A rendezvous for people to read. */
export interface RendezvousSummary {
  readonly name: string;
  /** ms since 1970 UTC. */
  readonly added: number;
  readonly addresses: readonly string[];
  readonly legs: number;
  /** Legs that it takes at most. */
  readonly most: number;
  readonly region: string;
  readonly isActivated: boolean;
  readonly isDraining: boolean;
  /** Time of its last report, ms. */
  readonly reported: number | undefined;
  readonly isUp: boolean;
}

/** What a new ticket offers. */
export interface Offer {
  readonly entries: TicketEntry[];
  readonly names: string[];
  readonly statements: SignedText[];
}

/** Those that are up, in the order of {@link inOrder}, as many as fit. */
export function offerOf(
  known: Iterable<Rendezvous>,
  ends: readonly Distances[],
  now: number,
  random: () => number,
): Offer {
  const up = [...known].flatMap((one) =>
    one.report !== undefined && one.statement !== undefined && isUp(one, now)
      ? [{ ...one.report, statement: one.statement, distanceKey: distanceKey(one.statement.statement.ed25519) }]
      : [],
  );
  const entries: TicketEntry[] = [];
  const names: string[] = [];
  const statements: SignedText[] = [];
  for (const { statement, boot } of inOrder(up, ends, random)) {
    const { ed25519, addresses } = statement.statement;
    const entry = { key: ed25519, boot, addresses };
    if (entries.length >= TICKET_ENTRIES || entriesLength([...entries, entry]) > TICKET_ENTRIES_BYTES) continue;
    entries.push(entry);
    names.push(statement.statement.rendezvous);
    statements.push(statement.signed);
  }
  return { entries, names, statements };
}

export function summaryOf(rendezvous: Rendezvous, now: number): RendezvousSummary {
  return {
    name: rendezvous.name,
    added: rendezvous.record.added,
    addresses: rendezvous.statement?.statement.addresses ?? [],
    legs: rendezvous.report?.legs ?? 0,
    most: rendezvous.report?.most ?? 0,
    isActivated: rendezvous.record.isActivated,
    region: rendezvous.report?.region ?? "",
    isDraining: rendezvous.report?.isDraining ?? false,
    reported: rendezvous.report?.time,
    isUp: isUp(rendezvous, now),
  };
}

function isUp({ record, report }: Rendezvous, now: number): boolean {
  return record.isActivated && report !== undefined && Math.abs(now - report.time) < RENDEZVOUS_SILENCE_MS;
}
