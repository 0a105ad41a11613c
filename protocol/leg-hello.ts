/**
 * The first bytes of a leg at a rendezvous, and its answer.
 *
 * ```
 * u8 0x00 || u16 length || hello            (0x00 tells raw TCP from "GET " and TLS)
 * hello: u16-prefixed ticket, u8 role (0 client, 1 device), u32 try, 64 B Ed25519 signature by the leg key over
 *        u16-prefixed "LABEL leg", rendezvous Ed25519 key, boot, sid, role, try
 *
 * answer: one status byte: 0 JOINED, then the peer's bytes only;
 *         1 BOOT, then 16 B boot, then the end; any other: a refusal, then the end
 * ```
 */
import { ByteReader, ByteWriter, concat, prefixed16, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError } from "../keys/errors.ts";
import type { Role } from "../keys/names.ts";
import { LABEL } from "./label.ts";
import { HELLO_BYTES } from "./limits.ts";

export interface LegHello {
  /** The ticket's bytes as the directory signed them. */
  readonly ticket: Uint8Array;
  readonly role: Role;
  /** Counts this end's dials; only a higher one than before is accepted. u32. */
  readonly dial: number;
  readonly signature: Uint8Array;
}

/** What a hello is signed for: one start of one rendezvous, one session, one dial. */
export interface LegClaim {
  readonly rendezvous: Ed25519PublicKey;
  /** 16 bytes. */
  readonly boot: Uint8Array;
  /** 16 bytes. */
  readonly sid: Uint8Array;
  readonly role: Role;
  readonly dial: number;
}

/** First byte of a raw TCP leg. */
export const LEG_PREFIX = 0x00;

/** Status bytes of a rendezvous. */
export const LEG_STATUS = {
  joined: 0,
  boot: 1,
  malformed: 2,
  ticket: 3,
  elsewhere: 4,
  replayed: 5,
  full: 6,
  unpaired: 7,
  replaced: 8,
} as const;

export type LegStatus = keyof typeof LEG_STATUS;

const STATUS_BY_NUMBER: ReadonlyMap<number, LegStatus> = new Map(
  Object.entries(LEG_STATUS).map(([name, number]) => [number, name as LegStatus]),
);

/** @throws {PeerError} E_PROTOCOL for a byte outside the table. */
export function parseLegStatus(byte: number): LegStatus {
  const status = STATUS_BY_NUMBER.get(byte);
  if (status === undefined) throw new PeerError("E_PROTOCOL", "the rendezvous answers with an unknown status");
  return status;
}

/** The framed bytes of a signed hello. */
export function encodeLegHello(
  suite: CipherSuite,
  legKey: Ed25519PrivateKey,
  ticket: Uint8Array,
  claim: LegClaim,
): Uint8Array {
  const hello = new ByteWriter()
    .bytes16(ticket)
    .u8(roleByte(claim.role))
    .u32(claim.dial)
    .raw(suite.sign(legKey, signedBytes(claim)))
    .done();
  return new ByteWriter().u8(LEG_PREFIX).bytes16(hello).done();
}

/**
 * The hello at the start of `bytes` and how many bytes it took; undefined while it is incomplete.
 * @throws {PeerError} E_PROTOCOL as soon as it cannot become a hello; no more than HELLO_BYTES are ever needed.
 */
export function parseLegHello(bytes: Uint8Array): { readonly hello: LegHello; readonly length: number } | undefined {
  if (bytes.length > 0 && bytes[0] !== LEG_PREFIX) throw new PeerError("E_PROTOCOL", "not a leg hello");
  if (bytes.length < 3) return undefined;
  const length = new ByteReader(bytes.subarray(1, 3)).u16();
  if (3 + length > HELLO_BYTES) throw new PeerError("E_PROTOCOL", "a leg hello is too long");
  if (bytes.length < 3 + length) return undefined;
  const reader = new ByteReader(bytes.subarray(3, 3 + length));
  const ticket = reader.bytes16().slice();
  const role = parseRole(reader.u8());
  const dial = reader.u32();
  const signature = reader.raw(64).slice();
  reader.end();
  return { hello: { ticket, role, dial, signature }, length: 3 + length };
}

/** Whether the holder of the leg key signed exactly this claim. */
export function verifyLegClaim(
  suite: CipherSuite,
  legKey: Ed25519PublicKey,
  claim: LegClaim,
  signature: Uint8Array,
): boolean {
  return suite.verify(legKey, signedBytes(claim), signature) === true;
}

function signedBytes(claim: LegClaim): Uint8Array {
  return concat(
    SIGNED_LABEL,
    prefixed16(
      claim.rendezvous.bytes,
      claim.boot,
      claim.sid,
      Uint8Array.of(roleByte(claim.role)),
      new ByteWriter().u32(claim.dial).done(),
    ),
  );
}

const SIGNED_LABEL = prefixed16(utf8(`${LABEL} leg`));

function roleByte(role: Role): number {
  return role === "client" ? 0 : 1;
}

function parseRole(byte: number): Role {
  if (byte > 1) throw new PeerError("E_PROTOCOL", "a leg hello has an unknown role");
  return byte === 0 ? "client" : "device";
}
