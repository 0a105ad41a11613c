import { equalBytes, hex } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { SecurityError, SshnpError } from "../keys/errors.ts";
import { RecentValues } from "../keys/recent-values.ts";
import { type LegHello, type LegStatus, verifyLegClaim } from "../protocol/leg-hello.ts";
import { UNPAIRED_LEGS } from "../protocol/limits.ts";
import { isTicketKeyKnown, type Ticket, ticketHash, verifyTicket } from "../protocol/ticket.ts";

/** What a rendezvous is and believes: all that a hello is judged by, beside the time. */
export interface RendezvousSelf {
  readonly suite: CipherSuite;
  readonly key: Ed25519PublicKey;
  /** 16 random bytes of this start. */
  readonly boot: Uint8Array;
}

export type Refusal = Exclude<LegStatus, "joined">;

/** `unknownKey`: the ticket says it is signed with a key that is not among `ticketKeys`; a newer list may have it. */
export type HelloVerdict = { readonly ticket: Ticket } | { readonly refusal: Refusal } | "unknownKey";

/** Judges hellos by the ticket keys of the newest key list. */
export class HelloJudge {
  readonly #self: RendezvousSelf;
  #ticketKeys: readonly Ed25519PublicKey[] = [];
  #expires = 0;
  /** Tickets that these keys have signed, by their hash: both legs of a session bring the same one. */
  #verified = new RecentValues<Ticket>(UNPAIRED_LEGS);

  constructor(self: RendezvousSelf) {
    this.#self = self;
  }

  /** Has other keys from now on, until `expires`, ms since 1970 UTC. */
  use(ticketKeys: readonly Ed25519PublicKey[], expires: number): void {
    this.#ticketKeys = ticketKeys;
    this.#expires = expires;
    this.#verified = new RecentValues(UNPAIRED_LEGS);
  }

  /**
   * Whether the holder of a ticket's leg key may bring a leg here, now. The cheap questions come first, and nothing of a
   * ticket is looked at before its signature holds. `time` in ms since 1970 UTC.
   */
  judge(hello: LegHello, time: number): HelloVerdict {
    const { suite, key, boot } = this.#self;
    let ticket: Ticket;
    try {
      const keys = time < this.#expires ? this.#ticketKeys : [];
      if (!isTicketKeyKnown(suite, keys, hello.ticket)) return "unknownKey";
      ticket = this.#ticket(keys, hello.ticket);
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      return { refusal: error instanceof SecurityError ? "ticket" : "malformed" };
    }
    if (time >= ticket.expires) return { refusal: "ticket" };
    const entry = ticket.entries.find((one) => one.key.equals(key));
    if (entry === undefined) return { refusal: "elsewhere" };
    const claim = { rendezvous: key, boot, sid: ticket.sid, role: hello.role, dial: hello.dial };
    if (verifyLegClaim(suite, ticket.legKey, claim, hello.signature)) return { ticket };
    // Whoever was told of another boot is told of this one. Whoever was not has made no hello.
    return { refusal: equalBytes(entry.boot, boot) ? "malformed" : "boot" };
  }

  #ticket(keys: readonly Ed25519PublicKey[], bytes: Uint8Array): Ticket {
    const { suite } = this.#self;
    const hash = hex(ticketHash(suite, bytes));
    const ticket = this.#verified.get(hash) ?? verifyTicket(suite, keys, bytes);
    this.#verified.put(hash, ticket);
    return ticket;
  }
}
