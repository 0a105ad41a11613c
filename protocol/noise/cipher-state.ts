import type { Aead } from "../../keys/cipher-suite.ts";
import { assert, PeerError } from "../../keys/errors.ts";

/** Reserved, and the end of the nonces (Noise rev 34 section 5.1). */
const MAX_NONCE = 0xffff_ffff_ffff_ffffn;

/**
 * CipherState of Noise rev 34 section 5.1, with a key from the start.
 * The nonce is a u64; it rises by one with each success and with nothing else.
 */
export class CipherState {
  readonly #aead: Aead;
  #nonce: bigint;

  /** @param nonce the first nonce to use; 0 in every handshake. */
  constructor(aead: Aead, nonce = 0n) {
    this.#aead = aead;
    this.#nonce = nonce;
  }

  /** The next nonce. */
  get nonce(): bigint {
    return this.#nonce;
  }

  /** Ciphertext and tag. */
  encryptWithAd(ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
    assert(this.#nonce < MAX_NONCE, "a key is replaced before its nonces run out");
    const ciphertext = this.#aead.seal(this.#nonce, ad, plaintext);
    this.#nonce += 1n;
    return ciphertext;
  }

  /** The plaintext. @throws {PeerError} E_PROTOCOL when the tag does not verify; the nonce stays. */
  decryptWithAd(ad: Uint8Array, ciphertext: Uint8Array): Uint8Array {
    assert(this.#nonce < MAX_NONCE, "a key is replaced before its nonces run out");
    const plaintext = this.#aead.open(this.#nonce, ad, ciphertext);
    if (plaintext === undefined) throw new PeerError("E_PROTOCOL", "ciphertext does not verify");
    this.#nonce += 1n;
    return plaintext;
  }
}
