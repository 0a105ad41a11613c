import { equalBytes } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { PeerError } from "../keys/errors.ts";
import type { VerifiedKeyList } from "../protocol/key-list.ts";
import type { Party } from "../protocol/messages/prologue.ts";
import type { Notify } from "../protocol/messages/session-request.ts";
import { type CheckedTicket, checkTicket } from "../protocol/session/ticket-check.ts";

/**
 * Verifies all of a request that needs no knowledge of the client: that it is for this device as it is now, and its ticket.
 * The directory's seal around the request proves none of this, since whoever has stolen the device's key can make that.
 *
 * `now` in ms.
 * @throws {PeerError} E_DEVICE_UNREADABLE for another device; {SecurityError} E_TICKET, E_STATEMENT; {PeerError} E_PROTOCOL.
 */
export function verifyNotify(
  suite: CipherSuite,
  grounds: { readonly device: Party; readonly keyList: VerifiedKeyList; readonly now: number },
  notify: Notify,
): CheckedTicket {
  const { device, keyList, now } = grounds;
  const { prologue } = notify;
  if (
    prologue.device.name !== device.name ||
    prologue.device.member !== device.member ||
    !equalBytes(prologue.device.bindingHash, device.bindingHash)
  ) {
    throw new PeerError("E_DEVICE_UNREADABLE", "A request names another device, or another binding of this one.");
  }
  return checkTicket(suite, keyList, prologue, notify, now);
}
