import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256 } from "@noble/hashes/sha2.js";

/** SHA-256 of the parts one after the other. */
export function hash(...parts: Uint8Array[]): Uint8Array {
  return sha256(concat(...parts));
}

/** HMAC-SHA256 (RFC 2104). */
export function mac(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  return hmac(sha256, key, concat(...parts));
}

/** HKDF(chaining key, input, 2), Noise revision 34, section 4.3: two outputs of 32 bytes. */
export function hkdf2(chainingKey: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array] {
  const temporary = mac(chainingKey, input);
  const output1 = mac(temporary, Uint8Array.of(1));
  const output2 = mac(temporary, output1, Uint8Array.of(2));
  return [output1, output2];
}

/** HKDF(chaining key, input, 3), Noise revision 34, section 4.3: three outputs of 32 bytes. */
export function hkdf3(chainingKey: Uint8Array, input: Uint8Array): [Uint8Array, Uint8Array, Uint8Array] {
  const temporary = mac(chainingKey, input);
  const output1 = mac(temporary, Uint8Array.of(1));
  const output2 = mac(temporary, output1, Uint8Array.of(2));
  const output3 = mac(temporary, output2, Uint8Array.of(3));
  return [output1, output2, output3];
}

/** The X25519 public key of a 32-byte private key (RFC 7748). */
export function publicKey(privateKey: Uint8Array): Uint8Array {
  return x25519.getPublicKey(privateKey);
}

/** The X25519 shared secret, 32 bytes (RFC 7748). */
export function dh(privateKey: Uint8Array, peerPublicKey: Uint8Array): Uint8Array {
  return x25519.getSharedSecret(privateKey, peerPublicKey);
}

/**
 * ChaCha20-Poly1305 as Noise uses it (revision 34, section 12.3): 32 zero bits, then the counter as 64 bits, little-endian.
 * Seals handshake fields and transport messages alike; returns ciphertext and 16-byte tag.
 */
export function seal(key: Uint8Array, counter: number, ad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, BigInt(counter), true);
  return chacha20poly1305(key, nonce, ad).encrypt(plaintext);
}

/** The parts one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** UTF-8 bytes of a text. */
export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
