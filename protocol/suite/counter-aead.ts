import { concat } from "../../keys/bytes.ts";
import type { Aead } from "../../keys/cipher-suite.ts";
import { assert } from "../../keys/errors.ts";

/** Tag of ChaCha20-Poly1305, always whole: a shorter one is refused, not compared (RFC 8439 section 2.8). */
export const TAG_BYTES = 16;

/** ChaCha20-Poly1305 of RFC 8439 under one key, with its 12-byte nonce. */
export interface ChaCha20Poly1305 {
  /** The pieces of the ciphertext of the concatenation of `parts`, in order, the tag last. */
  seal(nonce: Uint8Array, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[];
  /** The plaintext of ciphertext and tag, or undefined when they do not verify or are shorter than a tag. */
  open(nonce: Uint8Array, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
}

/** `cipher` under Noise's nonces: 4 zero bytes, then the counter as u64 little-endian (Noise rev 34 section 12.3). */
export function counterAead(cipher: ChaCha20Poly1305): Aead {
  const nonce = new Uint8Array(12);
  const view = new DataView(nonce.buffer);
  const at = (counter: bigint): Uint8Array => {
    // setBigUint64 would wrap around, and the last counter is reserved (Noise rev 34 section 5.1).
    assert(counter >= 0n && counter < 0xffff_ffff_ffff_ffffn, "a nonce counter is below 2^64 - 1");
    view.setBigUint64(4, counter, true);
    return nonce;
  };
  return {
    seal: (counter, ad, plaintext) => concat(...cipher.seal(at(counter), ad, [plaintext])),
    sealParts: (counter, ad, parts) => cipher.seal(at(counter), ad, parts),
    open: (counter, ad, ciphertext) => cipher.open(at(counter), ad, ciphertext),
  };
}
