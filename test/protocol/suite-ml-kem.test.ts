import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { hex } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { loadKem } from "../../protocol/suite/load.ts";

const kem = await loadKem();
const SEED = Uint8Array.from({ length: 64 }, (_, i) => i);
const RANDOMNESS = new Uint8Array(32).fill(0x42);

describe("ML-KEM-768", () => {
  test("both sides find the same secret, from nothing but the randomness given", () => {
    fc.assert(
      fc.property(bytes(64), bytes(32), (seed, randomness) => {
        const pair = kem.keyPair(seed);
        const { ciphertext, sharedSecret } = kem.encapsulate(pair.publicKey, randomness);
        expect([pair.publicKey.length, ciphertext.length, sharedSecret.length]).toEqual([1184, 1088, 32]);
        expect(hex(pair.decapsulate(ciphertext))).toBe(hex(sharedSecret));
        expect(kem.keyPair(seed).publicKey).toEqual(pair.publicKey);
        expect(kem.encapsulate(pair.publicKey, randomness).ciphertext).toEqual(ciphertext);
      }),
      { numRuns: 10 },
    );
  });

  test("a key pair opens one ciphertext", () => {
    const pair = kem.keyPair(SEED);
    const { ciphertext } = kem.encapsulate(pair.publicKey, RANDOMNESS);
    pair.decapsulate(ciphertext);
    expect(() => pair.decapsulate(ciphertext)).toThrow("broken invariant");
  });

  test("a changed ciphertext gives another secret, not an error (implicit rejection)", () => {
    const { ciphertext, sharedSecret } = kem.encapsulate(kem.keyPair(SEED).publicKey, RANDOMNESS);
    for (const place of [0, 500, 1087]) {
      const changed = new Uint8Array(ciphertext);
      changed[place] = (changed[place] ?? 0) ^ 1;
      expect(hex(kem.keyPair(SEED).decapsulate(changed))).not.toBe(hex(sharedSecret));
    }
  });

  test("an encapsulation key with any coefficient of 3329 or more is refused (FIPS 203 section 7.2)", () => {
    const good = kem.keyPair(SEED).publicKey;
    fc.assert(
      fc.property(fc.nat(767), fc.integer({ min: 3329, max: 4095 }), (index, coefficient) => {
        expect(() => kem.encapsulate(withCoefficient(good, index, coefficient), RANDOMNESS)).toThrow(PeerError);
        expect(() => kem.encapsulate(withCoefficient(good, index, 3328), RANDOMNESS)).not.toThrow();
      }),
      { numRuns: 40 },
    );
  });

  test("keys and ciphertexts of another length are refused", () => {
    for (const length of [0, 800, 1183, 1185, 1568]) {
      expect(() => kem.encapsulate(new Uint8Array(length), RANDOMNESS)).toThrow(PeerError);
    }
    for (const length of [0, 768, 1087, 1089, 1568]) {
      expect(() => kem.keyPair(SEED).decapsulate(new Uint8Array(length))).toThrow(PeerError);
    }
  });

  test("randomness of another length is our own fault", () => {
    expect(() => kem.encapsulate(kem.keyPair(SEED).publicKey, new Uint8Array(31))).toThrow("broken invariant");
    expect(() => kem.keyPair(new Uint8Array(63))).toThrow();
  });
});

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

/** `publicKey` with its 12-bit coefficient `index` replaced (ByteEncode12, FIPS 203 section 4.2.1). */
function withCoefficient(publicKey: Uint8Array, index: number, coefficient: number): Uint8Array {
  const changed = new Uint8Array(publicKey);
  const at = Math.floor(index / 2) * 3;
  const [low, middle, high] = [changed[at] ?? 0, changed[at + 1] ?? 0, changed[at + 2] ?? 0];
  if (index % 2 === 0) changed.set([coefficient & 0xff, (middle & 0xf0) | (coefficient >> 8), high], at);
  else changed.set([low, (middle & 0x0f) | ((coefficient & 0x0f) << 4), coefficient >> 4], at);
  return changed;
}
