import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import type { VerifiedKeyList } from "../key-list.ts";
import { isExpired } from "../statement-fields.ts";
import { rendezvousSubject, verifyRendezvousStatement } from "../statements.ts";
import { type Ticket, verifyTicket } from "../ticket.ts";

/** A ticket that holds, and what the log must say is the newest of each of its rendezvous, in the ticket's order. */
export interface CheckedTicket {
  readonly ticket: Ticket;
  readonly newest: readonly { readonly subject: string; readonly newest: Uint8Array }[];
}

/**
 * What either end asks of a ticket before it dials: it is the directory's, of this session and still good, and each
 * rendezvous in it stands, with the same key and addresses, in a statement that the directory's root key signed. So it
 * leads to rendezvous of this directory alone. `now` in ms.
 * @throws {SecurityError} E_TICKET, E_STATEMENT; {PeerError} E_PROTOCOL.
 */
export function checkTicket(
  suite: CipherSuite,
  keyList: VerifiedKeyList,
  session: { readonly sid: Uint8Array; readonly legKey: Ed25519PublicKey },
  given: { readonly ticket: Uint8Array; readonly rendezvous: readonly SignedText[] },
  now: number,
): CheckedTicket {
  const ticket = verifyTicket(suite, keyList.list.ticket, given.ticket);
  if (!equalBytes(ticket.sid, session.sid) || !ticket.legKey.equals(session.legKey)) {
    throw new SecurityError("E_TICKET", "The directory gave a ticket of another session.");
  }
  if (now >= ticket.expires) throw new SecurityError("E_TICKET", "The directory gave a ticket that has expired.");
  if (given.rendezvous.length !== ticket.entries.length) {
    throw new SecurityError("E_TICKET", "The directory does not prove the rendezvous that its ticket names.");
  }
  const newest: { readonly subject: string; readonly newest: Uint8Array }[] = [];
  for (const [i, entry] of ticket.entries.entries()) {
    const signed = given.rendezvous[i];
    if (signed === undefined) throw new SecurityError("E_TICKET", "A rendezvous statement is missing.");
    const { statement, hash } = verifyRendezvousStatement(suite, signed, keyList.root);
    const agrees =
      statement.ed25519.equals(entry.key) && entry.addresses.every((one) => statement.addresses.includes(one));
    if (!agrees || isExpired(statement, now)) {
      throw new SecurityError(
        "E_TICKET",
        "The directory's ticket names a rendezvous that its root key has not signed.",
      );
    }
    newest.push({ subject: rendezvousSubject(statement.rendezvous), newest: hash });
  }
  return { ticket, newest };
}
