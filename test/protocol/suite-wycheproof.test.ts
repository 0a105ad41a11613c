import { describe, expect, test, vi } from "vitest";
import { concat, fromHex, hex } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { hasPublicVectors, readPublicVectors, type Wycheproof } from "../support/public-vectors.ts";
import { CIPHERS, SUITES } from "../support/suites.ts";

vi.setConfig({ testTimeout: 60_000 }); // noble needs seconds on a busy machine

interface Exchange {
  readonly public: string;
  readonly private: string;
  readonly shared: string;
}

interface Sealed {
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
}

interface Signed {
  readonly msg: string;
  readonly sig: string;
}

interface Derived {
  readonly ikm: string;
  readonly salt: string;
  readonly info: string;
  readonly size: number;
  readonly okm: string;
}

describe.skipIf(!hasPublicVectors).each(SUITES)("the $name suite against Wycheproof", (suite) => {
  /**
   * Every case is decided: those flagged LowOrderPublic (the same as ZeroSharedSecret) or NonCanonicalPublic (which
   * includes a set top bit) are refused by the key type; all others must agree, on the twist as well.
   */
  test("X25519: agrees, or the key type refuses the key", () => {
    const { testGroups } = readPublicVectors("wycheproof-x25519.json") as Wycheproof<unknown, Exchange>;
    const counts = { agreed: 0, refused: 0 };
    for (const { tcId, flags, ...vector } of testGroups.flatMap((group) => group.tests)) {
      const publicBytes = fromHex(vector.public);
      if (flags.includes("LowOrderPublic") || flags.includes("NonCanonicalPublic")) {
        expect(() => X25519PublicKey.parse(publicBytes), `case ${tcId}`).toThrow(SecurityError);
        counts.refused++;
      } else {
        const privateKey = X25519PrivateKey.parse(suite, fromHex(vector.private));
        const shared = suite.dh(privateKey, X25519PublicKey.parse(publicBytes));
        expect(hex(shared), `case ${tcId}`).toBe(vector.shared);
        counts.agreed++;
      }
    }
    expect(counts).toEqual({ agreed: 474, refused: 44 });
  });

  /** No case here is under a key that the key type refuses. */
  test("Ed25519: valid signatures verify, all others do not", () => {
    const { testGroups } = readPublicVectors("wycheproof-ed25519.json") as Wycheproof<
      { publicKey: { pk: string } },
      Signed
    >;
    const counts = { valid: 0, invalid: 0 };
    for (const { publicKey, tests } of testGroups) {
      const key = Ed25519PublicKey.parse(fromHex(publicKey.pk));
      for (const { tcId, msg, sig, result } of tests) {
        expect(suite.verify(key, fromHex(msg), fromHex(sig)), `case ${tcId}`).toBe(result === "valid");
        if (result === "valid") counts.valid++;
        else counts.invalid++;
      }
    }
    expect(counts).toEqual({ valid: 88, invalid: 63 });
  });

  /** Cases flagged SizeTooLarge ask for more than 255 blocks, which HKDF does not have; they are not HMAC's to refuse. */
  test("HMAC: HKDF made of it agrees", () => {
    const { testGroups } = readPublicVectors("wycheproof-hkdf_sha256.json") as Wycheproof<unknown, Derived>;
    const cases = testGroups.flatMap((group) => group.tests).filter((vector) => !vector.flags.includes("SizeTooLarge"));
    for (const { tcId, ikm, salt, info, size, okm } of cases) {
      const derived = hkdf(suite, fromHex(salt), fromHex(ikm), fromHex(info), size);
      expect(hex(derived), `case ${tcId}`).toBe(okm);
    }
    expect(cases.length).toBe(83);
  });
});

describe.skipIf(!hasPublicVectors).each(CIPHERS)("the $name cipher against Wycheproof", ({ cipher }) => {
  /** Cases flagged InvalidNonceSize are left out: nonces are made by the suite, always of 12 bytes. */
  test("ChaCha20-Poly1305: seals and opens what is valid, and opens nothing else", () => {
    const { testGroups } = readPublicVectors("wycheproof-chacha20_poly1305.json") as Wycheproof<unknown, Sealed>;
    const cases = testGroups
      .flatMap((group) => group.tests)
      .filter((vector) => !vector.flags.includes("InvalidNonceSize"));
    const counts = { valid: 0, invalid: 0 };
    for (const { tcId, result, ...vector } of cases) {
      const [key, iv, aad, msg] = [vector.key, vector.iv, vector.aad, vector.msg].map((text) => fromHex(text));
      const sealed = fromHex(vector.ct + vector.tag);
      if (key === undefined || iv === undefined || aad === undefined || msg === undefined) throw new Error("no case");
      if (result === "valid") {
        const half = Math.floor(msg.length / 2);
        const pieces = cipher(key).seal(iv, aad, [msg.subarray(0, half), msg.subarray(half)]);
        expect(hex(concat(...pieces)), `case ${tcId}`).toBe(hex(sealed));
        expect(pieces.at(-1)?.length).toBe(16);
        expect(cipher(key).open(iv, aad, sealed), `case ${tcId}`).toEqual(msg);
        counts.valid++;
      } else {
        expect(cipher(key).open(iv, aad, sealed), `case ${tcId}`).toBeUndefined();
        counts.invalid++;
      }
    }
    expect(counts).toEqual({ valid: 256, invalid: 60 });
  });
});

/** RFC 5869. */
function hkdf(suite: CipherSuite, salt: Uint8Array, ikm: Uint8Array, info: Uint8Array, size: number): Uint8Array {
  const key = suite.hmacSha256(salt, ikm);
  const blocks: Uint8Array[] = [];
  for (let i = 1; i <= Math.ceil(size / 32); i++) {
    blocks.push(suite.hmacSha256(key, blocks.at(-1) ?? new Uint8Array(0), info, Uint8Array.of(i)));
  }
  return concat(...blocks).subarray(0, size);
}
