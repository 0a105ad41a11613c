import { ed25519 } from "@noble/curves/ed25519.js";
import { sha512 } from "@noble/hashes/sha2.js";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { concat, fromHex, hex } from "../../keys/bytes.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { nativeSuite as native } from "../../protocol/suite/native.ts";
import { nobleSuite as noble } from "../../protocol/suite/noble.ts";
import { type EdwardsPoint, SMALL_ORDER_POINTS } from "../support/curve-points.ts";

vi.setConfig({ testTimeout: 60_000 }); // noble needs seconds on a busy machine

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;

describe("native and noble agree", () => {
  test("on hashes and HMAC, however the input is cut into parts", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.array(fc.uint8Array({ maxLength: 300 })), (key, parts) => {
        const whole = concat(...parts);
        for (const method of ["sha256", "sha512"] as const) {
          expect(native[method](...parts)).toEqual(noble[method](whole));
          expect(noble[method](...parts)).toEqual(native[method](whole));
        }
        expect(native.hmacSha256(key, ...parts)).toEqual(noble.hmacSha256(key, whole));
        expect(noble.hmacSha256(key, ...parts)).toEqual(native.hmacSha256(key, whole));
      }),
    );
  });

  test("on X25519 with any 32 bytes as private key and any acceptable public key, on curve or twist", () => {
    fc.assert(
      fc.property(bytes32(), bytes32(), (secret, received) => {
        expect(native.x25519PublicKey(secret)).toEqual(noble.x25519PublicKey(secret));
        const publicKey = parsed(X25519PublicKey, clearTopBit(received));
        fc.pre(publicKey !== undefined);
        const shared = native.dh(X25519PrivateKey.parse(native, secret), publicKey);
        expect(noble.dh(X25519PrivateKey.parse(noble, secret), publicKey)).toEqual(shared);
      }),
    );
  });

  test("on refusing X25519 with points of small order in any encoding", () => {
    fc.assert(
      fc.property(bytes32(), fc.constantFrom(0n, 1n, -1n), fc.boolean(), (secret, u, addPrime) => {
        const prime = 2n ** 255n - 19n;
        const encoding = littleEndian32(((u + prime) % prime) + (addPrime && u >= 0n ? prime : 0n));
        const publicKey = Object.create(X25519PublicKey.prototype, { bytes: { value: encoding } }) as X25519PublicKey;
        for (const suite of [native, noble]) {
          expect(() => suite.dh(X25519PrivateKey.parse(suite, secret), publicKey)).toThrow(SecurityError);
        }
      }),
    );
  });

  test("on Ed25519 keys and signatures, which each makes and the other verifies", () => {
    fc.assert(
      fc.property(bytes32(), fc.uint8Array({ maxLength: 200 }), (seed, message) => {
        const ours = Ed25519PrivateKey.parse(native, seed);
        const theirs = Ed25519PrivateKey.parse(noble, seed);
        expect(ours.publicKey.bytes).toEqual(theirs.publicKey.bytes);
        const signature = native.sign(ours, message);
        expect(noble.sign(theirs, message)).toEqual(signature);
        expect(noble.verify(ours.publicKey, message, signature)).toBe(true);
        expect(native.verify(theirs.publicKey, message, signature)).toBe(true);
      }),
      { numRuns: 50 },
    );
  });

  test("on refusing signatures with any bit changed, and keys and messages that are not the signed ones", () => {
    fc.assert(
      fc.property(bytes32(), fc.uint8Array({ minLength: 1, maxLength: 100 }), fc.nat(), (seed, message, place) => {
        const { publicKey } = Ed25519PrivateKey.parse(native, seed);
        const signature = native.sign(Ed25519PrivateKey.parse(native, seed), message);
        for (const suite of [native, noble]) {
          expect(suite.verify(publicKey, message, flipBit(signature, place))).toBe(false);
          expect(suite.verify(publicKey, flipBit(message, place), signature)).toBe(false);
          const otherKey = parsed(Ed25519PublicKey, flipBit(publicKey.bytes, place));
          if (otherKey !== undefined) expect(suite.verify(otherKey, message, signature)).toBe(false);
        }
      }),
      { numRuns: 50 },
    );
  });

  test("on refusing S + n times the order of the group (RFC 8032 section 8.4)", () => {
    fc.assert(
      fc.property(bytes32(), fc.bigInt({ min: 1n, max: 15n }), (seed, times) => {
        const key = Ed25519PrivateKey.parse(native, seed);
        const signature = native.sign(key, seed);
        const S = fromLittleEndian(signature.subarray(32)) + times * ORDER;
        fc.pre(S < 2n ** 256n);
        const malleable = concat(signature.subarray(0, 32), littleEndian32(S));
        expect(native.verify(key.publicKey, seed, malleable)).toBe(false);
        expect(noble.verify(key.publicKey, seed, malleable)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  /**
   * With a part of small order in R or A the equations with and without cofactor differ: a signer can make signatures that
   * a verifier of one kind accepts and one of the other refuses. Both suites must be of one kind.
   */
  test("on signatures made with points that have a part of small order", () => {
    const verdicts = { true: 0, false: 0 };
    fc.assert(
      fc.property(scalar(), scalar(), torsion(), torsion(), fc.nat(1_000_000), (a, r, tA, tR, number) => {
        const message = littleEndian32(BigInt(number));
        const A = parsed(Ed25519PublicKey, Point.BASE.multiplyUnsafe(a).add(tA).toBytes());
        fc.pre(A !== undefined);
        const R = Point.BASE.multiplyUnsafe(r).add(tR).toBytes();
        const k = fromLittleEndian(sha512(concat(R, A.bytes, message))) % ORDER;
        const signature = concat(R, littleEndian32((r + k * a) % ORDER));
        const verdict = native.verify(A, message, signature);
        expect(noble.verify(A, message, signature)).toBe(verdict);
        verdicts[`${verdict}`]++;
        if (tA.is0() && !tR.is0()) {
          expect(verdict).toBe(false);
          expect(ed25519.verify(signature, message, A.bytes, { zip215: false }), "it is such a signature").toBe(true);
        }
      }),
      { numRuns: 200 },
    );
    expect(verdicts.true).toBeGreaterThan(0);
    expect(verdicts.false).toBeGreaterThan(0);
  });

  test("on refusing signatures whose R is not canonical, is no point or is of small order", () => {
    const places = [0n, 1n, 2n, 2n ** 255n - 20n, 2n ** 255n - 19n, 2n ** 255n - 18n, 2n ** 255n - 1n];
    fc.assert(
      fc.property(scalar(), fc.constantFrom(...places), fc.boolean(), (a, y, sign) => {
        const A = parsed(Ed25519PublicKey, Point.BASE.multiplyUnsafe(a).toBytes());
        fc.pre(A !== undefined);
        const R = littleEndian32(y + (sign ? 2n ** 255n : 0n));
        const message = new Uint8Array(4);
        const k = fromLittleEndian(sha512(concat(R, A.bytes, message))) % ORDER;
        const signature = concat(R, littleEndian32((k * a) % ORDER)); // verifies when R is the neutral element
        expect(native.verify(A, message, signature)).toBe(false);
        expect(noble.verify(A, message, signature)).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test("on ChaCha20-Poly1305, whole or in parts, and on refusing what was changed", () => {
    const ad = fc.uint8Array({ maxLength: 40 });
    const counter = fc.bigInt({ min: 0n, max: 2n ** 64n - 3n }); // its neighbour is a counter too
    fc.assert(
      fc.property(
        bytes32(),
        counter,
        ad,
        fc.array(fc.uint8Array({ maxLength: 300 })),
        fc.nat(),
        (key, n, data, parts, place) => {
          const plaintext = concat(...parts);
          const sealed = native.aead(key).seal(n, data, plaintext);
          expect(noble.aead(key).seal(n, data, plaintext)).toEqual(sealed);
          for (const suite of [native, noble]) {
            const aead = suite.aead(key);
            const pieces = aead.sealParts(n, data, parts);
            expect(concat(...pieces)).toEqual(sealed);
            expect(pieces.at(-1)).toEqual(sealed.subarray(-16));
            expect(aead.open(n, data, sealed)).toEqual(plaintext);
            expect(aead.open(n, data, flipBit(sealed, place))).toBeUndefined();
            expect(aead.open(n ^ 1n, data, sealed)).toBeUndefined();
            expect(aead.open(n, concat(data, Uint8Array.of(0)), sealed)).toBeUndefined();
            expect(aead.open(n, data, sealed.subarray(0, place % sealed.length))).toBeUndefined();
          }
        },
      ),
    );
  });
});

function bytes32(): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: 32, maxLength: 32 });
}

function scalar(): fc.Arbitrary<bigint> {
  return fc.bigInt({ min: 1n, max: ORDER - 1n });
}

function torsion(): fc.Arbitrary<EdwardsPoint> {
  return fc.constantFrom(...SMALL_ORDER_POINTS);
}

/** The key, or undefined when its type refuses it. */
function parsed<Key>(type: { parse(bytes: Uint8Array): Key }, bytes: Uint8Array): Key | undefined {
  try {
    return type.parse(bytes);
  } catch {
    return undefined;
  }
}

function flipBit(bytes: Uint8Array, place: number): Uint8Array {
  const flipped = new Uint8Array(bytes);
  const index = Math.floor(place / 8) % flipped.length;
  flipped[index] = (flipped[index] ?? 0) ^ (1 << (place % 8));
  return flipped;
}

function clearTopBit(bytes: Uint8Array): Uint8Array {
  const cleared = new Uint8Array(bytes);
  cleared[31] = (cleared[31] ?? 0) & 0x7f;
  return cleared;
}

function littleEndian32(value: bigint): Uint8Array {
  return fromHex(value.toString(16).padStart(64, "0"), 32).toReversed();
}

function fromLittleEndian(bytes: Uint8Array): bigint {
  return BigInt(`0x${hex(bytes.toReversed())}`);
}
