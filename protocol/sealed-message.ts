/**
 * A sealed message: one Noise_X message of the control plane, over any transport.
 *
 * ```
 * offset  bytes  field
 * 0       1      version (1)
 * 1       8      first 8 bytes of SHA-256(recipient's X25519 key)
 * 9       96+n   Noise_X message (e, es, s, ss), prologue = u16-prefixed LABEL, "sealed"; its payload:
 *         1      freshness kind: 0 time, 1 nonce
 *         8|16   milliseconds since 1970 UTC | nonce
 *         16     id
 *         1      type
 *         n      body
 * ```
 * The sender's static key is authenticated and only the recipient can read it. Noise_X is open to key-compromise
 * impersonation: whoever holds the recipient's key can make messages to it from anybody.
 */
import { ByteReader, ByteWriter, equalBytes, prefixed16, utf8 } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { PeerError } from "../keys/errors.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../keys/x25519.ts";
import { LABEL, LABEL_BYTES, LABEL_VERSION } from "./label.ts";
import { SEALED_MESSAGE_BYTES } from "./limits.ts";
import { HandshakeState } from "./noise/handshake-state.ts";
import { X } from "./noise/x.ts";

/** What proves that a message is not a replay: the sender's clock, or a nonce of the recipient's. */
export type Freshness =
  | { readonly kind: "time" /** ms since 1970 UTC */; readonly time: number }
  | { readonly kind: "nonce" /** 16 bytes */; readonly nonce: Uint8Array };

export interface SealedContent {
  readonly freshness: Freshness;
  /** 16 bytes. */
  readonly id: Uint8Array;
  readonly type: number;
  readonly body: Uint8Array;
}

export interface OpenedMessage extends SealedContent {
  readonly sender: X25519PublicKey;
  /** Whose key it was sealed to. */
  readonly recipient: X25519PublicKey;
  /** Export("response") of this message's handshake: what answers to it are sealed under. */
  readonly responseSecret: Uint8Array;
}

const PROLOGUE = prefixed16(LABEL_BYTES, utf8("sealed"));

/** Seals `content`. @throws {RangeError} when the result would be above SEALED_MESSAGE_BYTES. */
export function sealMessage(
  suite: CipherSuite,
  random: RandomBytes,
  parties: { readonly sender: X25519PrivateKey; readonly recipient: X25519PublicKey },
  content: SealedContent,
): { readonly bytes: Uint8Array; readonly responseSecret: Uint8Array } {
  const noise = HandshakeState.initiator({
    pattern: X,
    suite,
    prologue: PROLOGUE,
    staticKey: parties.sender,
    remoteStaticKey: parties.recipient,
    random,
    label: LABEL,
  });
  const payload = new ByteWriter();
  if (content.freshness.kind === "time") payload.u8(0).u64(content.freshness.time);
  else payload.u8(1).raw(content.freshness.nonce);
  payload.raw(content.id).u8(content.type).raw(content.body);
  const message = noise.writeMessage(payload.done());
  const bytes = new ByteWriter().u8(LABEL_VERSION).raw(recipientId(suite, parties.recipient)).raw(message).done();
  if (bytes.length > SEALED_MESSAGE_BYTES) throw new RangeError("a sealed message is too long");
  const responseSecret = responseSecretOf(noise);
  return {
    bytes,
    get responseSecret() {
      return responseSecret();
    },
  };
}

/**
 * Export("response") of a handshake, made when it is asked for: nobody answers to a link's messages under it, and it is a part of what
 * sealing or opening one costs.
 */
function responseSecretOf(noise: HandshakeState): () => Uint8Array {
  let secret: Uint8Array | undefined;
  return () => (secret ??= noise.splitToExport("response"));
}

/**
 * Opens a message sealed to one of `recipients`, or tells that it is sealed to none of them.
 * Freshness and uniqueness are for the caller to judge.
 * @throws {PeerError} E_VERSION for another version, E_PROTOCOL for whatever cannot be opened or parsed.
 */
export function openMessage(
  suite: CipherSuite,
  recipients: readonly X25519PrivateKey[],
  bytes: Uint8Array,
): OpenedMessage | "unknown-recipient" {
  if (bytes.length > SEALED_MESSAGE_BYTES) throw new PeerError("E_PROTOCOL", "a sealed message is too long");
  const reader = new ByteReader(bytes);
  if (reader.u8() !== LABEL_VERSION) throw new PeerError("E_VERSION", "a sealed message is of another version");
  const id = reader.raw(8);
  const staticKey = recipients.find((key) => equalBytes(id, recipientId(suite, key.publicKey)));
  if (staticKey === undefined) return "unknown-recipient";
  const noise = HandshakeState.responder({
    pattern: X,
    suite,
    prologue: PROLOGUE,
    staticKey,
    random: noRandomness,
    label: LABEL,
  });
  const payload = new ByteReader(noise.readMessage(reader.rest()));
  const sender = noise.remoteStaticKey;
  if (sender === undefined) throw new PeerError("E_PROTOCOL", "a sealed message has no sender");
  const responseSecret = responseSecretOf(noise);
  return {
    sender,
    recipient: staticKey.publicKey,
    freshness: readFreshness(payload),
    id: payload.raw(16),
    type: payload.u8(),
    body: payload.rest(),
    get responseSecret() {
      return responseSecret();
    },
  };
}

function readFreshness(reader: ByteReader): Freshness {
  const kind = reader.u8();
  if (kind === 0) return { kind: "time", time: reader.u64() };
  if (kind === 1) return { kind: "nonce", nonce: reader.raw(16) };
  throw new PeerError("E_PROTOCOL", "unknown kind of freshness");
}

function recipientId(suite: CipherSuite, key: X25519PublicKey): Uint8Array {
  return suite.sha256(key.bytes).subarray(0, 8);
}

function noRandomness(): never {
  throw new Error("broken invariant: reading a one-way message needs no randomness");
}
