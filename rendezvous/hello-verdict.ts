import { equalBytes } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../keys/ed25519.ts";
import { SecurityError, SshnpError } from "../keys/errors.ts";
import { type LegHello, type LegStatus, verifyLegClaim } from "../protocol/leg-hello.ts";
import { isTicketKeyKnown, type Ticket, verifyTicket } from "../protocol/ticket.ts";

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

/**
 * Whether the holder of a ticket's leg key may bring a leg here, now. The cheap questions come first, and nothing of a
 * ticket is looked at before its signature holds. `time` in ms since 1970 UTC.
 */
export function judgeHello(
  self: RendezvousSelf,
  ticketKeys: readonly Ed25519PublicKey[],
  hello: LegHello,
  time: number,
): HelloVerdict {
  let ticket: Ticket;
  try {
    if (!isTicketKeyKnown(self.suite, ticketKeys, hello.ticket)) return "unknownKey";
    ticket = verifyTicket(self.suite, ticketKeys, hello.ticket);
  } catch (error) {
    if (!(error instanceof SshnpError)) throw error;
    return { refusal: error instanceof SecurityError ? "ticket" : "malformed" };
  }
  if (time >= ticket.expires) return { refusal: "ticket" };
  const entry = ticket.entries.find(({ key }) => key.equals(self.key));
  if (entry === undefined) return { refusal: "elsewhere" };
  const claim = { rendezvous: self.key, boot: self.boot, sid: ticket.sid, role: hello.role, dial: hello.dial };
  if (verifyLegClaim(self.suite, ticket.legKey, claim, hello.signature)) return { ticket };
  // Whoever was told of another boot is told of this one. Whoever was not has made no hello.
  return { refusal: equalBytes(entry.boot, self.boot) ? "malformed" : "boot" };
}
