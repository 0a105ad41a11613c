/**
 * A ticket: the directory's permission to bring the two legs of one session to the rendezvous it names.
 * It holds no names. One ticket serves both ends.
 *
 * ```
 * u16-prefixed fields, in this order:
 * version (1 B, 1), directory key id (first 8 B of SHA-256 of its ticket key), sid (16), leg public key (32),
 * entries (at most 800 B), issued (u64 ms), expires (u64 ms)
 * then 64 B Ed25519 signature over u16-prefixed "LABEL ticket" || those fields
 *
 * entries: u8 count (1..3), each: rendezvous Ed25519 key (32), boot (16), u8 count (1..4) of addresses, each u8-prefixed
 * ```
 */
import { ByteReader, ByteWriter, concat, equalBytes, prefixed16, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { type Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError, SecurityError } from "../keys/errors.ts";
import { LABEL, LABEL_VERSION } from "./label.ts";
import { MAX_RENDEZVOUS_ADDRESSES, MAX_TICKET_MS, TICKET_ENTRIES, TICKET_ENTRIES_BYTES } from "./limits.ts";
import { parseRendezvousAddress } from "./rendezvous-address.ts";

/** One rendezvous that a ticket names. */
export interface TicketEntry {
  readonly key: Ed25519PublicKey;
  /** 16 bytes, new at every start of the rendezvous, so that a restart opens no replay. */
  readonly boot: Uint8Array;
  /** `tcp://`, `ws://` or `wss://` host:port, at most 4. */
  readonly addresses: readonly string[];
}

export interface Ticket {
  /** 16 bytes. */
  readonly sid: Uint8Array;
  readonly legKey: Ed25519PublicKey;
  readonly entries: readonly TicketEntry[];
  /** ms since 1970 UTC. */
  readonly issued: number;
  readonly expires: number;
}

const SIGNATURE_BYTES = 64;
const SIGNED_LABEL = prefixed16(utf8(`${LABEL} ticket`));

/** Makes a ticket. @throws {RangeError} when its entries exceed their limit. */
export function signTicket(suite: CipherSuite, ticketKey: Ed25519PrivateKey, ticket: Ticket): Uint8Array {
  const entries = encodeEntries(ticket.entries);
  if (entries.length > TICKET_ENTRIES_BYTES) throw new RangeError("a ticket's entries are too long");
  const fields = prefixed16(
    Uint8Array.of(LABEL_VERSION),
    keyId(suite, ticketKey.publicKey),
    ticket.sid,
    ticket.legKey.bytes,
    entries,
    new ByteWriter().u64(ticket.issued).done(),
    new ByteWriter().u64(ticket.expires).done(),
  );
  return concat(fields, suite.sign(ticketKey, concat(SIGNED_LABEL, fields)));
}

/**
 * Verifies a ticket against the directory's ticket keys, then parses it. Expiry is the caller's to judge.
 * @throws {SecurityError} E_TICKET when no such key signed it; {PeerError} E_PROTOCOL when it does not parse.
 */
export function verifyTicket(suite: CipherSuite, ticketKeys: readonly Ed25519PublicKey[], bytes: Uint8Array): Ticket {
  if (bytes.length < SIGNATURE_BYTES) throw new PeerError("E_PROTOCOL", "a ticket is too short");
  const fields = bytes.subarray(0, -SIGNATURE_BYTES);
  const reader = new ByteReader(fields);
  if (reader.exactly16(1)[0] !== LABEL_VERSION) throw new PeerError("E_VERSION", "a ticket is of another version");
  const id = reader.exactly16(8);
  const key = ticketKeys.find((candidate) => equalBytes(id, keyId(suite, candidate)));
  const signed = concat(SIGNED_LABEL, fields);
  if (key === undefined || suite.verify(key, signed, bytes.subarray(-SIGNATURE_BYTES)) !== true) {
    throw new SecurityError("E_TICKET", "A ticket is not signed by the directory.");
  }
  const sid = reader.exactly16(16).slice();
  const legKey = Ed25519PublicKey.parse(reader.exactly16(32));
  const entries = parseEntries(reader.bytes16());
  const issued = new ByteReader(reader.exactly16(8)).u64();
  const expires = new ByteReader(reader.exactly16(8)).u64();
  reader.end();
  if (expires <= issued || expires - issued > MAX_TICKET_MS)
    throw new PeerError("E_PROTOCOL", "a ticket's life is wrong");
  return { sid, legKey, entries, issued, expires };
}

/**
 * Whether one of `ticketKeys` is the key that a ticket says it is signed with. Nothing is verified.
 * @throws {PeerError} E_PROTOCOL when it does not say.
 */
export function isTicketKeyKnown(
  suite: CipherSuite,
  ticketKeys: readonly Ed25519PublicKey[],
  bytes: Uint8Array,
): boolean {
  const reader = new ByteReader(bytes);
  reader.exactly16(1);
  const id = reader.exactly16(8);
  return ticketKeys.some((key) => equalBytes(id, keyId(suite, key)));
}

/**
 * The session id that a ticket says, 16 bytes, for logs. Nothing is verified. @throws {PeerError} E_PROTOCOL when it says none.
 */
export function saidSid(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes);
  reader.exactly16(1);
  reader.exactly16(8);
  return reader.exactly16(16).slice();
}

/** SHA-256 over all bytes of a ticket, signature included: what msg2 commits to. */
export function ticketHash(suite: CipherSuite, bytes: Uint8Array): Uint8Array {
  return suite.sha256(bytes);
}

/** Bytes that `entries` take in a ticket; at most TICKET_ENTRIES_BYTES may be used. */
export function entriesLength(entries: readonly TicketEntry[]): number {
  return encodeEntries(entries).length;
}

function encodeEntries(entries: readonly TicketEntry[]): Uint8Array {
  const writer = new ByteWriter().u8(entries.length);
  for (const entry of entries) {
    writer.raw(entry.key.bytes).raw(entry.boot).u8(entry.addresses.length);
    for (const address of entry.addresses) writer.text8(address);
  }
  return writer.done();
}

function parseEntries(bytes: Uint8Array): TicketEntry[] {
  if (bytes.length > TICKET_ENTRIES_BYTES) throw new PeerError("E_PROTOCOL", "a ticket's entries are too long");
  const reader = new ByteReader(bytes);
  const entries = Array.from({ length: countWithin(reader.u8(), TICKET_ENTRIES) }, () => {
    const key = Ed25519PublicKey.parse(reader.raw(32));
    const boot = reader.raw(16).slice();
    const addresses = Array.from({ length: countWithin(reader.u8(), MAX_RENDEZVOUS_ADDRESSES) }, () => {
      const address = reader.text8();
      parseRendezvousAddress(address);
      return address;
    });
    return { key, boot, addresses };
  });
  reader.end();
  return entries;
}

function countWithin(count: number, limit: number): number {
  if (count < 1 || count > limit) throw new PeerError("E_PROTOCOL", "a ticket has a wrong number of entries");
  return count;
}

function keyId(suite: CipherSuite, key: Ed25519PublicKey): Uint8Array {
  return suite.sha256(key.bytes).subarray(0, 8);
}
