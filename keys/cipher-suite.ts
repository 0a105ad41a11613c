import type { Ed25519PrivateKey, Ed25519PublicKey } from "./ed25519.ts";
import type { X25519PrivateKey, X25519PublicKey } from "./x25519.ts";

/**
 * The cryptographic primitives, all of them standard: X25519 (RFC 7748), Ed25519 (RFC 8032),
 * ChaCha20-Poly1305 (RFC 8439), SHA-256 and HMAC (FIPS 180-4, RFC 2104).
 *
 * Two implementations exist (node:crypto and noble); both pass the same vectors and a differential test.
 * Implementations hold no state but caches of imported keys.
 */
export interface CipherSuite {
  readonly name: "native" | "noble";
  /** SHA-256 of the concatenation of `parts`, 32 bytes. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  /** SHA-512 of the concatenation of `parts`, 64 bytes (SSHSIG only). */
  sha512(...parts: readonly Uint8Array[]): Uint8Array;
  /** HMAC-SHA-256 of the concatenation of `parts`, 32 bytes. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** Public half (32 bytes) of a 32-byte X25519 private key. */
  x25519PublicKey(privateKey: Uint8Array): Uint8Array;
  /** X25519 shared secret, 32 bytes. @throws {SecurityError} when it is all zero (RFC 7748 section 6.1). */
  dh(privateKey: X25519PrivateKey, publicKey: X25519PublicKey): Uint8Array;
  /** Public half (32 bytes) of a 32-byte Ed25519 seed. */
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
  /** Ed25519 signature, 64 bytes. */
  sign(privateKey: Ed25519PrivateKey, message: Uint8Array): Uint8Array;
  /**
   * Whether `signature` verifies: [S]B = R + [k]A without cofactor, R compared as encoded (RFC 8032 section 5.1.7), so that
   * the suites never differ. `=== true` is the only yes; malformed input and a failing verifier are `false`.
   */
  verify(publicKey: Ed25519PublicKey, message: Uint8Array, signature: Uint8Array): boolean;
  /** ChaCha20-Poly1305 under a 32-byte key. */
  aead(key: Uint8Array): Aead;
}

/** ChaCha20-Poly1305 under one key. The nonce is Noise's: 4 zero bytes, then `counter` as u64 little-endian. */
export interface Aead {
  /** Ciphertext and 16-byte tag as one array. */
  seal(counter: bigint, ad: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /**
   * The pieces of one ciphertext, in order, the 16-byte tag last; `parts` are sealed as their concatenation.
   * node:crypto copies nothing, so that bulk data goes from a socket's read to a socket's write through one call.
   */
  sealParts(counter: bigint, ad: Uint8Array, parts: readonly Uint8Array[]): Uint8Array[];
  /** The plaintext, or undefined when the tag does not verify. Never returns unauthenticated bytes. */
  open(counter: bigint, ad: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
}

/** ML-KEM-768 (FIPS 203). Keys are ephemeral and used once. */
export interface Kem {
  /** From 64 random bytes (d || z): the 1184-byte encapsulation key and the secret that opens answers to it. */
  keyPair(seed: Uint8Array): { readonly publicKey: Uint8Array; decapsulate(ciphertext: Uint8Array): Uint8Array };
  /**
   * From 32 random bytes: the 1088-byte ciphertext and the 32-byte shared secret.
   * @throws {PeerError} when the encapsulation key fails the modulus check of FIPS 203 section 7.2.
   */
  encapsulate(publicKey: Uint8Array, randomness: Uint8Array): { ciphertext: Uint8Array; sharedSecret: Uint8Array };
}

/** `length` bytes nobody can guess. An argument everywhere, so that tests can fix it. */
export type RandomBytes = (length: number) => Uint8Array;
