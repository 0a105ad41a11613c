import { base64, equalBytes, hex } from "./bytes.ts";
import type { CipherSuite, RandomBytes } from "./cipher-suite.ts";
import { SecurityError } from "./errors.ts";

/**
 * u-coordinates of small order below 2^255 (RFC 7748 section 6.1; https://cr.yp.to/ecdh.html#validate), little-endian hex.
 * The two larger encodings there are non-canonical and refused as such.
 */
const SMALL_ORDER: readonly string[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/** An X25519 public key: 32 bytes, canonical, not of small order. Noise's `s` and `e`. */
export class X25519PublicKey {
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** @throws {SecurityError} E_PROTOCOL when it is not 32 bytes, is non-canonical (>= 2^255 - 19) or of small order. */
  static parse(bytes: Uint8Array): X25519PublicKey {
    if (bytes.length !== 32 || !isCanonical(bytes) || SMALL_ORDER.includes(hex(bytes))) {
      throw new SecurityError("E_PROTOCOL", "not an acceptable X25519 public key");
    }
    return new X25519PublicKey(bytes.slice());
  }

  equals(other: X25519PublicKey): boolean {
    return equalBytes(this.bytes, other.bytes);
  }

  toJSON(): string {
    return base64(this.bytes);
  }
}

/** An X25519 private key. Its bytes never reach text: `toJSON` and `toString` give the public half. */
export class X25519PrivateKey {
  readonly #bytes: Uint8Array;
  readonly publicKey: X25519PublicKey;

  private constructor(bytes: Uint8Array, publicKey: X25519PublicKey) {
    this.#bytes = bytes;
    this.publicKey = publicKey;
  }

  /** From 32 secret bytes. */
  static parse(suite: CipherSuite, bytes: Uint8Array): X25519PrivateKey {
    if (bytes.length !== 32) throw new RangeError("an X25519 private key is 32 bytes");
    const copy = bytes.slice();
    return new X25519PrivateKey(copy, X25519PublicKey.parse(suite.x25519PublicKey(copy)));
  }

  static generate(suite: CipherSuite, random: RandomBytes): X25519PrivateKey {
    return X25519PrivateKey.parse(suite, random(32));
  }

  /** The 32 secret bytes: for cipher suites and key files alone. */
  secretBytes(): Uint8Array {
    return this.#bytes;
  }

  toJSON(): string {
    return `x25519 private key of ${this.publicKey.toJSON()}`;
  }

  toString(): string {
    return this.toJSON();
  }
}

function isCanonical(bytes: Uint8Array): boolean {
  const top = bytes[31] ?? 0;
  if (top > 0x7f) return false;
  if (top < 0x7f) return true;
  for (let i = 30; i >= 1; i--) if (bytes[i] !== 0xff) return true;
  return (bytes[0] ?? 0) < 0xed;
}
