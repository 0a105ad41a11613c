import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";
import { base64, fromHex, hex } from "../../keys/bytes.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { SMALL_ORDER_POINTS } from "../support/curve-points.ts";

/** All encodings of the points that https://cr.yp.to/ecdh.html#validate lists: small order, below and above the prime. */
const X25519_SMALL_ORDER = [
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0100000000000000000000000000000000000000000000000000000000000000",
  "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
  "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
  "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
  "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/** The 19 encodings of 2^255 - 19 and above with the top bit clear, and the largest number below them. */
const ABOVE_THE_PRIME = Array.from({ length: 19 }, (_, i) => littleEndian(2n ** 255n - 19n + BigInt(i)));
const LARGEST = littleEndian(2n ** 255n - 20n);

describe("an X25519 public key", () => {
  test.each(X25519_SMALL_ORDER)("of small order is refused: %s", (encoding) => {
    expect(() => X25519PublicKey.parse(fromHex(encoding))).toThrow(SecurityError);
    expect(() => X25519PublicKey.parse(withTopBit(fromHex(encoding)))).toThrow(SecurityError);
  });

  test("that is not canonical is refused, with or without its top bit", () => {
    for (const bytes of ABOVE_THE_PRIME) {
      expect(() => X25519PublicKey.parse(bytes)).toThrow(SecurityError);
      expect(() => X25519PublicKey.parse(withTopBit(bytes))).toThrow(SecurityError);
    }
    expect(() => X25519PublicKey.parse(withTopBit(littleEndian(9n)))).toThrow(SecurityError);
  });

  test("just below the prime is refused for its order alone, and the one below that is a key", () => {
    expect(() => X25519PublicKey.parse(LARGEST)).toThrow(SecurityError);
    expect(X25519PublicKey.parse(littleEndian(2n ** 255n - 21n)).bytes).toEqual(littleEndian(2n ** 255n - 21n));
  });

  test("has 32 bytes", () => {
    for (const length of [0, 31, 33, 64]) {
      expect(() => X25519PublicKey.parse(new Uint8Array(length).fill(9))).toThrow(SecurityError);
    }
  });
});

describe("an Ed25519 public key", () => {
  test("of small order is refused in every encoding of all eight points", () => {
    expect(new Set(SMALL_ORDER_POINTS.map((point) => hex(point.toBytes()))).size).toBe(8);
    for (const point of SMALL_ORDER_POINTS) {
      const canonical = point.toBytes();
      const otherSign = new Uint8Array(canonical);
      otherSign[31] = (otherSign[31] ?? 0) ^ 0x80;
      expect(() => Ed25519PublicKey.parse(canonical)).toThrow(SecurityError);
      expect(() => Ed25519PublicKey.parse(otherSign)).toThrow(SecurityError);
    }
  });

  test("that is not canonical is refused, whatever its sign", () => {
    for (const bytes of ABOVE_THE_PRIME) {
      expect(() => Ed25519PublicKey.parse(bytes)).toThrow(SecurityError);
      expect(() => Ed25519PublicKey.parse(withTopBit(bytes))).toThrow(SecurityError);
    }
    expect(Ed25519PublicKey.parse(littleEndian(2n ** 255n - 21n)).bytes).toEqual(littleEndian(2n ** 255n - 21n));
  });

  test("has 32 bytes", () => {
    for (const length of [0, 31, 33, 64]) {
      expect(() => Ed25519PublicKey.parse(new Uint8Array(length).fill(9))).toThrow(SecurityError);
    }
  });
});

describe.each([
  { name: "X25519", PublicKey: X25519PublicKey, PrivateKey: X25519PrivateKey },
  { name: "Ed25519", PublicKey: Ed25519PublicKey, PrivateKey: Ed25519PrivateKey },
])("keys of $name", ({ PublicKey, PrivateKey }) => {
  test("keep what was parsed, whether it came as a Buffer or not, and leave the input alone", () => {
    fc.assert(
      fc.property(secret(), fc.constantFrom("Uint8Array", "Buffer"), (seed, input) => {
        const publicBytes = PrivateKey.parse(nativeSuite, seed).publicKey.bytes;
        const received = input === "Buffer" ? Buffer.from(publicBytes) : new Uint8Array(publicBytes);
        const key = PublicKey.parse(received);
        expect(hex(received)).toBe(hex(publicBytes));
        received.fill(0);
        expect(hex(key.bytes)).toBe(hex(publicBytes));
        expect(key.toJSON()).toBe(base64(publicBytes));
      }),
    );
  });

  test("a private key has a copy of its bytes, which can be erased outside", () => {
    const bytes = Buffer.from("5c".repeat(32), "hex");
    const key = PrivateKey.parse(nativeSuite, bytes);
    bytes.fill(0);
    expect(hex(key.secretBytes())).toBe("5c".repeat(32));
  });

  test("a private key is 32 bytes", () => {
    for (const length of [0, 31, 33, 64]) {
      expect(() => PrivateKey.parse(nativeSuite, new Uint8Array(length))).toThrow(RangeError);
    }
  });

  test("a generated key takes its 32 bytes from the source given", () => {
    const source = (length: number): Uint8Array => new Uint8Array(length).fill(0x77);
    expect(hex(PrivateKey.generate(nativeSuite, source).secretBytes())).toBe("77".repeat(32));
  });

  test("a private key never shows its bytes as text", () => {
    fc.assert(
      fc.property(secret(), (seed) => {
        const key = PrivateKey.parse(nativeSuite, seed);
        const texts = [
          String(key),
          JSON.stringify({ key }),
          JSON.stringify(Object.entries(key)),
          inspect(key, { depth: null, showHidden: true, getters: true }),
          inspect([{ key }], { depth: null }),
          inspect(new Error("failed", { cause: key })),
        ];
        for (const text of texts) {
          for (const form of textForms(seed)) expect(text).not.toContain(form);
        }
        expect(JSON.stringify({ key })).toContain(base64(key.publicKey.bytes));
      }),
    );
  });
});

test("keys of different kinds cannot stand for each other", () => {
  expectTypeOf<Ed25519PublicKey>().not.toExtend<X25519PublicKey>();
  expectTypeOf<X25519PublicKey>().not.toExtend<Ed25519PublicKey>();
  expectTypeOf<Ed25519PrivateKey>().not.toExtend<X25519PrivateKey>();
  expectTypeOf<X25519PrivateKey>().not.toExtend<Ed25519PrivateKey>();
});

/** Secrets without long runs of one byte, so that a chance hit in other text means nothing. */
function secret(): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: 32, maxLength: 32 }).filter((bytes) => new Set(bytes).size > 16);
}

function textForms(bytes: Uint8Array): string[] {
  const buffer = Buffer.from(bytes);
  const list = [...bytes.subarray(0, 8)];
  return [
    buffer.toString("hex"),
    buffer.toString("hex", 0, 8),
    buffer.toString("base64"),
    buffer.toString("base64url"),
    list.join(","),
    list.join(", "),
    list.map((byte) => byte.toString(16).padStart(2, "0")).join(" "),
  ];
}

function littleEndian(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, "0")).toReversed();
}

function withTopBit(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes);
  copy[31] = (copy[31] ?? 0) | 0x80;
  return copy;
}
