/**
 * What the two handshake messages carry inside.
 *
 * ```
 * msg1: leg key seed (32), u16-prefixed checkpoint (the newest that the client has seen, or empty), u8 key use (0 none, 1 push, 2 certify),
 *       u16-prefixed SSH public key blob (empty when none)
 * msg2: u8 verdict (0 yes, else a refusal code), u16-prefixed reason, SHA-256 of the ticket (32),
 *       u8 count of host keys, each a u16-prefixed SSH public key blob, u8 key taken (0 no, 1 yes),
 *       u16-prefixed SSH certificate (empty unless the key was to be certified and is taken), u16-prefixed checkpoint (the newest that the device has seen, or empty),
 *       u32 early window, u32 stream window, u32 session window, u16 streams
 * ```
 */
import { ByteReader, ByteWriter, utf8Text } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { NOTE_BYTES, HOST_KEYS, REASON_BYTES, SSH_CERTIFICATE_BYTES, SSH_KEY_BYTES } from "../limits.ts";
import { parseRefusalCode, REFUSAL_NUMBERS, type RefusalCode } from "../refusal-codes.ts";

/** What the device should do with the SSH public key of a request. */
export type KeyUse = "push" | "certify";

export interface RequestPayload {
  /** Seed of the leg key, 32 bytes, so that the device can sign its own hello with it. */
  readonly legSeed: Uint8Array;
  /** The newest checkpoint that the client has seen, as a signed note; empty: none. */
  readonly checkpoint: string;
  readonly sshKey: { readonly use: KeyUse /** SSH public key blob */; readonly blob: Uint8Array } | undefined;
}

/** Bounds of the channel, as the device grants them. */
export interface ChannelLimits {
  /** Bytes that may be sent on a stream ahead of its OPENED. */
  readonly earlyWindow: number;
  /** Largest window of one stream. */
  readonly streamWindow: number;
  /** Largest sum of granted windows. */
  readonly sessionWindow: number;
  /** Streams open at once. */
  readonly streams: number;
}

export interface AnswerPayload {
  readonly refusal: { readonly code: RefusalCode; readonly reason: string } | undefined;
  /** SHA-256 of the ticket that the device was given, 32 bytes. */
  readonly ticketHash: Uint8Array;
  /** Public key blobs that the device's SSH server presents. */
  readonly hostKeys: readonly Uint8Array[];
  /** Whether the key of the request will be put to the use asked for. */
  readonly keyTaken: boolean;
  /** For a key that was to be certified: a certificate for it in SSH's encoding; undefined: none. */
  readonly certificate?: Uint8Array | undefined;
  /** The newest checkpoint that the device has seen, as a signed note; empty: none. */
  readonly checkpoint: string;
  readonly limits: ChannelLimits;
}

const KEY_USES: readonly (KeyUse | undefined)[] = [undefined, "push", "certify"];
const EMPTY = new Uint8Array(0);

export function encodeRequestPayload(payload: RequestPayload): Uint8Array {
  return new ByteWriter()
    .raw(payload.legSeed)
    .text16(payload.checkpoint)
    .u8(KEY_USES.indexOf(payload.sshKey?.use))
    .bytes16(payload.sshKey?.blob ?? EMPTY)
    .done();
}

/** @throws {PeerError} E_PROTOCOL on anything malformed. */
export function parseRequestPayload(bytes: Uint8Array): RequestPayload {
  const reader = new ByteReader(bytes);
  const legSeed = reader.raw(32).slice();
  const checkpoint = readCheckpoint(reader);
  const number = reader.u8();
  const use = KEY_USES[number];
  const blob = reader.bytes16().slice();
  reader.end();
  if (number >= KEY_USES.length || (use === undefined) !== (blob.length === 0) || blob.length > SSH_KEY_BYTES) {
    throw new PeerError("E_PROTOCOL", "a request has a malformed SSH key");
  }
  return { legSeed, checkpoint, sshKey: use === undefined ? undefined : { use, blob } };
}

export function encodeAnswerPayload(payload: AnswerPayload): Uint8Array {
  const { refusal, limits } = payload;
  const writer = new ByteWriter()
    .u8(refusal === undefined ? 0 : REFUSAL_NUMBERS[refusal.code])
    .text16(refusal?.reason ?? "")
    .raw(payload.ticketHash)
    .u8(payload.hostKeys.length);
  for (const key of payload.hostKeys) writer.bytes16(key);
  return writer
    .u8(payload.keyTaken ? 1 : 0)
    .bytes16(payload.certificate ?? EMPTY)
    .text16(payload.checkpoint)
    .u32(limits.earlyWindow)
    .u32(limits.streamWindow)
    .u32(limits.sessionWindow)
    .u16(limits.streams)
    .done();
}

/** @throws {PeerError} E_PROTOCOL on anything malformed. */
export function parseAnswerPayload(bytes: Uint8Array): AnswerPayload {
  const reader = new ByteReader(bytes);
  const verdict = reader.u8();
  const reason = reader.text16();
  if (reason.length > REASON_BYTES) throw new PeerError("E_PROTOCOL", "a refusal's reason is too long");
  const ticketHash = reader.raw(32).slice();
  const count = reader.u8();
  if (count > HOST_KEYS) throw new PeerError("E_PROTOCOL", "an answer has too many host keys");
  const hostKeys = Array.from({ length: count }, () => {
    const key = reader.bytes16();
    if (key.length > SSH_KEY_BYTES) throw new PeerError("E_PROTOCOL", "a host key is too long");
    return key.slice();
  });
  const taken = reader.u8();
  if (taken > 1) throw new PeerError("E_PROTOCOL", "an answer is malformed");
  const certificate = reader.bytes16();
  if (certificate.length > SSH_CERTIFICATE_BYTES || (taken === 0 && certificate.length > 0)) {
    throw new PeerError("E_PROTOCOL", "an answer has a malformed certificate");
  }
  const checkpoint = readCheckpoint(reader);
  const limits = {
    earlyWindow: reader.u32(),
    streamWindow: reader.u32(),
    sessionWindow: reader.u32(),
    streams: reader.u16(),
  };
  reader.end();
  if (verdict === 0 && reason !== "") throw new PeerError("E_PROTOCOL", "an answer gives a reason for its yes");
  const refusal = verdict === 0 ? undefined : { code: parseRefusalCode(verdict), reason };
  const certified = certificate.length === 0 ? undefined : certificate.slice();
  return { refusal, ticketHash, hostKeys, keyTaken: taken === 1, certificate: certified, checkpoint, limits };
}

/** What it says is judged by whoever compares it. */
function readCheckpoint(reader: ByteReader): string {
  const checkpoint = reader.bytes16();
  if (checkpoint.length > NOTE_BYTES) throw new PeerError("E_PROTOCOL", "a checkpoint is too long");
  return utf8Text(checkpoint);
}
