import { equalBytes } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { PeerError, SecurityError } from "../keys/errors.ts";
import type { VerifiedKeyList } from "../protocol/key-list.ts";
import type { Party } from "../protocol/messages/prologue.ts";
import type { Notify } from "../protocol/messages/session-request.ts";
import { isExpired, verifyRendezvousStatement } from "../protocol/statements.ts";
import { type Ticket, type TicketEntry, verifyTicket } from "../protocol/ticket.ts";

/**
 * Verifies all of a request that needs no knowledge of the client: that it is for this device as it is now, that its
 * ticket is the directory's, for this session and still good, and that each rendezvous in the ticket stands, with the same
 * key and addresses, in a statement that the directory's root key signed. The directory's seal around the request
 * proves none of this, since whoever has stolen the device's key can make that.
 *
 * `now` in ms.
 * @throws {PeerError} E_DEVICE_UNREADABLE for another device; {SecurityError} E_TICKET, E_STATEMENT; {PeerError} E_PROTOCOL.
 */
export function verifyNotify(
  suite: CipherSuite,
  grounds: { readonly device: Party; readonly keyList: VerifiedKeyList; readonly now: number },
  notify: Notify,
): Ticket {
  const { device, keyList, now } = grounds;
  const { prologue } = notify;
  if (
    prologue.device.name !== device.name ||
    prologue.device.member !== device.member ||
    !equalBytes(prologue.device.bindingHash, device.bindingHash)
  ) {
    throw new PeerError("E_DEVICE_UNREADABLE", "A request names another device, or another binding of this one.");
  }
  const ticket = verifyTicket(suite, keyList.list.ticket, notify.ticket);
  if (!equalBytes(ticket.sid, prologue.sid) || !ticket.legKey.equals(prologue.legKey)) {
    throw new SecurityError("E_TICKET", "A request comes with the ticket of another session.");
  }
  if (now >= ticket.expires) throw new SecurityError("E_TICKET", "A request comes with a ticket that has expired.");
  if (notify.rendezvous.length !== ticket.entries.length) {
    throw new SecurityError("E_TICKET", "A ticket and its rendezvous statements do not match.");
  }
  for (const [i, entry] of ticket.entries.entries()) {
    const signed = notify.rendezvous[i];
    if (signed === undefined) throw new SecurityError("E_TICKET", "A rendezvous statement is missing.");
    const { statement } = verifyRendezvousStatement(suite, signed, keyList.root);
    if (isExpired(statement, now) || !agrees(entry, statement)) {
      throw new SecurityError("E_TICKET", "A ticket names a rendezvous that its statement does not.");
    }
  }
  return ticket;
}

function agrees(
  entry: TicketEntry,
  statement: Pick<TicketEntry, "addresses"> & { readonly ed25519: TicketEntry["key"] },
) {
  return (
    entry.key.equals(statement.ed25519) && entry.addresses.every((address) => statement.addresses.includes(address))
  );
}
