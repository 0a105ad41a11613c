import { ByteReader, ByteWriter, equalBytes } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { PeerError } from "../keys/errors.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../keys/x25519.ts";
import { openMessage, sealMessage } from "../protocol/sealed-message.ts";

export interface LinkMessage {
  readonly type: number;
  readonly body: Uint8Array;
}

/**
 * Seals what one side says on a link after the hello: the freshness is the other side's nonce of this socket, the ids
 * count up from 1.
 */
export class LinkSealer {
  readonly #suite: CipherSuite;
  readonly #random: RandomBytes;
  readonly #nonce: Uint8Array;
  #parties: { readonly sender: X25519PrivateKey; readonly recipient: X25519PublicKey };
  #count: number;

  /** `count`: how many were sealed with this nonce before. */
  constructor(
    primitives: { readonly suite: CipherSuite; readonly random: RandomBytes },
    parties: { readonly sender: X25519PrivateKey; readonly recipient: X25519PublicKey },
    nonce: Uint8Array,
    count = 0,
  ) {
    this.#count = count;
    this.#suite = primitives.suite;
    this.#random = primitives.random;
    this.#parties = parties;
    this.#nonce = nonce;
  }

  /** Goes on with other keys of either side. */
  rekey(parties: { readonly sender: X25519PrivateKey; readonly recipient: X25519PublicKey }): void {
    this.#parties = parties;
  }

  seal(message: LinkMessage): Uint8Array {
    const id = new ByteWriter()
      .u64(0)
      .u64(++this.#count)
      .done();
    const freshness = { kind: "nonce", nonce: this.#nonce } as const;
    return sealMessage(this.#suite, this.#random, this.#parties, { ...message, freshness, id }).bytes;
  }
}

/** Opens what the other side says on a link: only its own, only of this socket, each id higher than the one before. */
export class LinkOpener {
  readonly #suite: CipherSuite;
  readonly #nonce: Uint8Array;
  #count = 0;

  /** `nonce`: what this side gave the other one for this socket. */
  constructor(suite: CipherSuite, nonce: Uint8Array) {
    this.#suite = suite;
    this.#nonce = nonce;
  }

  /** @throws {PeerError} E_PROTOCOL on anything else than the next message of one of `senders`. */
  open(recipients: readonly X25519PrivateKey[], senders: readonly X25519PublicKey[], bytes: Uint8Array): LinkMessage {
    const message = openMessage(this.#suite, recipients, bytes);
    if (message === "unknown-recipient") throw new PeerError("E_PROTOCOL", "a link message is sealed to another key");
    const { freshness, sender } = message;
    if (!senders.some((key) => key.equals(sender))) {
      throw new PeerError("E_PROTOCOL", "a link message is from another sender");
    }
    if (freshness.kind !== "nonce" || !equalBytes(freshness.nonce, this.#nonce)) {
      throw new PeerError("E_PROTOCOL", "a link message is of another link");
    }
    const count = linkCount(message.id);
    if (count <= this.#count) throw new PeerError("E_PROTOCOL", "a link message comes twice or out of order");
    this.#count = count;
    return { type: message.type, body: message.body };
  }
}

/** Which message of its side an id says. @throws {PeerError} E_PROTOCOL when it is the id of none. */
export function linkCount(id: Uint8Array): number {
  const reader = new ByteReader(id);
  if (reader.u64() !== 0) throw new PeerError("E_PROTOCOL", "a link message has the id of none");
  return reader.u64();
}
