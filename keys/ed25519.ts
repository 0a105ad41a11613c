import { base64, equalBytes, hex } from "./bytes.ts";
import { isFieldElement } from "./curve25519.ts";
import { SecurityError } from "./errors.ts";

/** The y-coordinates of the eight points of small order (sign bit cleared), little-endian hex. */
const SMALL_ORDER_Y: readonly string[] = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/**
 * An Ed25519 public key: 32 bytes, canonical, not of small order.
 *
 * A small-order key verifies any message in node:crypto and in noble's default mode, so such a key
 * must never become a value of this type.
 */
export class Ed25519PublicKey {
  /** Sets the type apart from other keys of the same shape; there is no such field. */
  declare readonly brand: "Ed25519PublicKey";
  /** The 32 bytes; only to be read. */
  readonly bytes: Uint8Array;

  private constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** @throws {SecurityError} E_PROTOCOL when it is not 32 bytes, is non-canonical (y >= 2^255 - 19) or of small order. */
  static parse(bytes: Uint8Array): Ed25519PublicKey {
    if (bytes.length !== 32) throw new SecurityError("E_PROTOCOL", "an Ed25519 public key is 32 bytes");
    if (!isFieldElement(withoutSign(bytes)) || isOfSmallOrder(bytes)) {
      throw new SecurityError("E_PROTOCOL", "not an acceptable Ed25519 public key");
    }
    return new Ed25519PublicKey(new Uint8Array(bytes));
  }

  equals(other: Ed25519PublicKey): boolean {
    return equalBytes(this.bytes, other.bytes);
  }

  toJSON(): string {
    return base64(this.bytes);
  }
}

/** An Ed25519 private key (the 32-byte seed). Its bytes never reach text: `toJSON` and `toString` give the public half. */
export class Ed25519PrivateKey {
  readonly #seed: Uint8Array;
  readonly publicKey: Ed25519PublicKey;

  private constructor(seed: Uint8Array, publicKey: Ed25519PublicKey) {
    this.#seed = seed;
    this.publicKey = publicKey;
  }

  /** From the 32-byte seed (RFC 8032 section 5.1.5), which is copied. */
  static parse(suite: PublicHalf, seed: Uint8Array): Ed25519PrivateKey {
    if (seed.length !== 32) throw new RangeError("an Ed25519 seed is 32 bytes");
    const copy = new Uint8Array(seed);
    return new Ed25519PrivateKey(copy, Ed25519PublicKey.parse(suite.ed25519PublicKey(copy)));
  }

  static generate(suite: PublicHalf, random: (length: number) => Uint8Array): Ed25519PrivateKey {
    return Ed25519PrivateKey.parse(suite, random(32));
  }

  /** The 32-byte seed: for cipher suites, key files, and the leg key that a client shares with its device. */
  secretBytes(): Uint8Array {
    return this.#seed;
  }

  toJSON(): string {
    return `ed25519 private key of ${this.publicKey.toJSON()}`;
  }

  toString(): string {
    return this.toJSON();
  }
}

/**
 * Whether the 32 bytes encode one of the eight points of small order. No honest signature has such a point as its R, and
 * the versions of OpenSSL do not agree on those that do.
 */
export function isOfSmallOrder(point: Uint8Array): boolean {
  return SMALL_ORDER_Y.includes(hex(withoutSign(point)));
}

function withoutSign(point: Uint8Array): Uint8Array {
  const y = new Uint8Array(point); // slice() of a Buffer would share its memory
  y[31] = (y[31] ?? 0) & 0x7f;
  return y;
}

/** The part of a CipherSuite that is needed here; the suite itself is declared in terms of these keys. */
interface PublicHalf {
  ed25519PublicKey(seed: Uint8Array): Uint8Array;
}
