import { base64, equalBytes, hex } from "./bytes.ts";
import { isFieldElement } from "./curve25519.ts";
import { SecurityError } from "./errors.ts";

/**
 * The canonical u-coordinates of small order, on the curve and on its twist (https://cr.yp.to/ecdh.html#validate),
 * little-endian hex: DH with them is all zero. Their other encodings are refused as non-canonical.
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
  /** Sets the type apart from other keys of the same shape; there is no such field. */
  declare readonly brand: "X25519PublicKey";
  /** The 32 bytes; only to be read. */
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** @throws {SecurityError} E_PROTOCOL when it is not 32 bytes, is non-canonical (>= 2^255 - 19) or of small order. */
  static parse(bytes: Uint8Array): X25519PublicKey {
    if (!isFieldElement(bytes) || SMALL_ORDER.includes(hex(bytes))) {
      throw new SecurityError("E_PROTOCOL", "not an acceptable X25519 public key");
    }
    return new X25519PublicKey(new Uint8Array(bytes));
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

  /** From 32 secret bytes, which are copied. */
  static parse(suite: PublicHalf, bytes: Uint8Array): X25519PrivateKey {
    if (bytes.length !== 32) throw new RangeError("an X25519 private key is 32 bytes");
    const copy = new Uint8Array(bytes); // slice() of a Buffer would share its memory
    return new X25519PrivateKey(copy, X25519PublicKey.parse(suite.x25519PublicKey(copy)));
  }

  static generate(suite: PublicHalf, random: (length: number) => Uint8Array): X25519PrivateKey {
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

/** The part of a CipherSuite that is needed here; the suite itself is declared in terms of these keys. */
interface PublicHalf {
  x25519PublicKey(privateKey: Uint8Array): Uint8Array;
}
