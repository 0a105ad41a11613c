import type { Duplex } from "node:stream";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError, UnavailableError } from "../keys/errors.ts";
import type { Role } from "../keys/names.ts";
import { ELSEWHERE_MS } from "../protocol/limits.ts";
import type { TicketEntry } from "../protocol/ticket.ts";
import type { LegStream } from "./leg-stream.ts";
import { speaks } from "./speaks.ts";

/** A socket at a rendezvous that has joined it to the other end's; `first`: what came of that already. Then it was paused. */
export interface Joined {
  readonly stream: Duplex;
  readonly first: Uint8Array;
}

export interface MeetingOptions {
  readonly role: Role;
  readonly socket: LegStream;
  /** Those of the ticket, the one that was reached first ahead. */
  readonly entries: readonly TicketEntry[];
  /** Brings a leg to one of them and waits there to be joined. @throws {SshnpError} why that is over. */
  readonly visit: (entry: TicketEntry, signal: AbortSignal) => Promise<Joined>;
  readonly signal: AbortSignal;
}

/**
 * Brings two ends together that may have reached different rendezvous of a ticket first. Each goes to the others as well when
 * it has waited for ELSEWHERE_MS, or was turned away, and takes none of its legs back; so they meet wherever both can come. Both
 * may be joined at several then, and hear of it in another order: the device takes the first, ends its other legs, and
 * speaks there alone; the client takes the one on which it speaks (docs/decisions, "The device chooses where to meet").
 *
 * Resolves with the rendezvous that is taken. @throws {SshnpError} when all visits are over, what the first or only one says; the
 * signal's reason.
 */
export function meet(options: MeetingOptions): Promise<Ed25519PublicKey> {
  return new Promise((resolve, reject) => {
    new Meeting(options, { resolve, reject }).begin();
  });
}

interface Outcome {
  resolve(rendezvous: Ed25519PublicKey): void;
  reject(error: unknown): void;
}

interface Visit {
  readonly entry: TicketEntry;
  /** Where it was joined, while it waits for the device to speak. */
  joined?: Joined;
}

class Meeting {
  readonly #options: MeetingOptions;
  readonly #done: Outcome;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  readonly #failures = new Map<TicketEntry, unknown>();
  readonly #going = new Set<Visit>();
  #elsewhere: NodeJS.Timeout | undefined;
  #begun = 0;

  constructor(options: MeetingOptions, done: Outcome) {
    this.#options = options;
    this.#done = done;
    this.#signal = AbortSignal.any([options.signal, this.#over.signal]);
  }

  begin(): void {
    const [first] = this.#options.entries;
    if (first === undefined) return this.#done.reject(new Error("broken invariant: a ticket names a rendezvous"));
    if (this.#options.entries.length > 1) this.#elsewhere = setTimeout(() => this.#goElsewhere(), ELSEWHERE_MS);
    this.#start(first);
  }

  #goElsewhere(): void {
    clearTimeout(this.#elsewhere);
    if (this.#signal.aborted) return;
    while (this.#begun < this.#options.entries.length) this.#start(this.#options.entries[this.#begun] as TicketEntry);
  }

  #start(entry: TicketEntry): void {
    this.#begun++;
    const visit: Visit = { entry };
    this.#going.add(visit);
    this.#options.visit(entry, this.#signal).then(
      (joined) => this.#joined(visit, joined),
      (error: unknown) => this.#failed(visit, error),
    );
  }

  #joined(visit: Visit, joined: Joined): void {
    if (this.#signal.aborted) return this.#options.socket.giveUp(joined.stream);
    const { role } = this.#options;
    if (role === "device" || this.#begun === 1 || joined.first.length > 0) return this.#take(visit, joined);
    visit.joined = joined;
    if (this.#takeLast()) return;
    void this.#awaitWord(visit, joined).catch(() => {}); // another one was taken meanwhile
  }

  async #awaitWord(visit: Visit, joined: Joined): Promise<void> {
    const isHere = await speaks(joined.stream, this.#signal);
    if (this.#over.signal.aborted) return;
    if (isHere) return this.#take(visit, joined);
    this.#options.socket.giveUp(joined.stream);
    this.#failed(visit, metElsewhere());
  }

  #take({ entry }: Visit, { stream, first }: Joined): void {
    this.#end();
    this.#options.socket.join(stream, first);
    this.#done.resolve(entry.key);
  }

  #failed(visit: Visit, error: unknown): void {
    if (this.#over.signal.aborted) return;
    this.#going.delete(visit);
    this.#failures.set(visit.entry, error);
    if (this.#options.signal.aborted) {
      this.#end();
      return this.#done.reject(this.#options.signal.reason);
    }
    this.#goElsewhere();
    if (this.#going.size > 0) return void this.#takeLast();
    this.#end();
    this.#done.reject(this.#reason());
  }

  /** Where nothing else is left to be joined at, nothing need be waited for. */
  #takeLast(): boolean {
    const [visit] = this.#going;
    if (this.#going.size > 1 || visit?.joined === undefined) return false;
    this.#take(visit, visit.joined);
    return true;
  }

  #end(): void {
    clearTimeout(this.#elsewhere);
    this.#over.abort();
  }

  #reason(): unknown {
    const errors = this.#options.entries.map((entry) => this.#failures.get(entry));
    const [first] = errors;
    if (errors.length === 1) return first;
    const denied = errors.find((error) => error instanceof Error && "code" in error && error.code === "E_PROXY_AUTH");
    if (denied !== undefined) return denied;
    const facts = errors.map((error) => (error instanceof PeerError ? NO_RENDEZVOUS : messageOf(error)));
    const next = first instanceof UnavailableError ? first.next : undefined;
    return new UnavailableError("E_RENDEZVOUS", facts.join(" "), { ...(next !== undefined && { next }), cause: first });
  }
}

const NO_RENDEZVOUS = "Something answers that is no rendezvous.";

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function metElsewhere(): UnavailableError {
  return new UnavailableError("E_RENDEZVOUS", "The other end has left the rendezvous.", { next: "Try again." });
}
