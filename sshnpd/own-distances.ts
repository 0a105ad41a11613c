import type { Link } from "../directory/client.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import { DistanceTable, type Leg, measureRendezvous } from "../rendezvous/client.ts";

/** How far this device is from the rendezvous of its sessions, measured while they run, and told on its link. */
export class OwnDistances {
  readonly #table = new DistanceTable();
  readonly #line: { readonly current: Link | undefined };
  readonly #allowPrivate: () => boolean;

  constructor(line: { readonly current: Link | undefined }, allowPrivate: () => boolean) {
    this.#line = line;
    this.#allowPrivate = allowPrivate;
  }

  /** To be called when the link is up. */
  tell(): void {
    this.#line.current?.tellDistances(this.#table.told(Date.now()));
  }

  /** Measures in the background; the session says why when there is nothing to measure. */
  measure(entries: readonly TicketEntry[], leg: Leg, signal: AbortSignal): void {
    const options = { allowPrivate: this.#allowPrivate(), signal, now: Date.now, onNews: () => this.tell() };
    measureRendezvous(this.#table, entries, leg, options).catch(() => {});
  }
}
