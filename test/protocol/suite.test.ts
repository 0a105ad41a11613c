import { describe, expect, test } from "vitest";
import { concat, fromHex, hex, utf8 } from "../../keys/bytes.ts";
import type { Aead } from "../../keys/cipher-suite.ts";
import { Ed25519PrivateKey, Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SecurityError, SetupError } from "../../keys/errors.ts";
import { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { CIPHERS, SUITES } from "../support/suites.ts";

const NOTHING = new Uint8Array(0);

describe.each(SUITES)("the $name suite", (suite) => {
  test("hashes as FIPS 180-4, over parts as over the whole", () => {
    expect(hex(suite.sha256(utf8("abc")))).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect(hex(suite.sha512(utf8("abc")))).toBe(
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    );
    expect(suite.sha256(utf8("a"), NOTHING, utf8("bc"))).toEqual(suite.sha256(utf8("abc")));
    expect(suite.sha512(utf8("ab"), utf8("c"))).toEqual(suite.sha512(utf8("abc")));
    expect(hex(suite.sha256())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  });

  test("authenticates as RFC 4231 test case 2", () => {
    const expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    expect(hex(suite.hmacSha256(utf8("Jefe"), utf8("what do ya want "), utf8("for nothing?")))).toBe(expected);
  });

  test("does the Diffie-Hellman of RFC 7748 section 6.1", () => {
    const alice = fromHex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    const bob = fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    const alicePublic = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    const bobPublic = "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f";
    const shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    expect(hex(suite.x25519PublicKey(alice))).toBe(alicePublic);
    expect(hex(suite.x25519PublicKey(bob))).toBe(bobPublic);
    for (const [own, other] of [
      [alice, bobPublic],
      [bob, alicePublic],
    ] as const) {
      const privateKey = X25519PrivateKey.parse(suite, own);
      const publicKey = X25519PublicKey.parse(fromHex(other));
      expect(hex(suite.dh(privateKey, publicKey))).toBe(shared);
      expect(hex(suite.dh(privateKey, publicKey)), "from the cache").toBe(shared);
    }
  });

  test("refuses an all-zero shared secret, even with a key that no parser lets through", () => {
    const privateKey = X25519PrivateKey.parse(suite, new Uint8Array(32).fill(7));
    for (const smallOrder of [
      "0000000000000000000000000000000000000000000000000000000000000000",
      "0100000000000000000000000000000000000000000000000000000000000000",
      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
      "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    ]) {
      expect(() => suite.dh(privateKey, unchecked(X25519PublicKey, smallOrder))).toThrow(SecurityError);
    }
  });

  test.each([
    {
      seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
      publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      message: "",
      signature:
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    },
    {
      seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
      publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
      message: "72",
      signature:
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    },
  ])("signs and verifies as RFC 8032 section 7.1, message 0x$message", ({ seed, publicKey, message, signature }) => {
    const key = Ed25519PrivateKey.parse(suite, fromHex(seed));
    expect(hex(suite.ed25519PublicKey(fromHex(seed)))).toBe(publicKey);
    expect(hex(suite.sign(key, fromHex(message)))).toBe(signature);
    expect(suite.verify(key.publicKey, fromHex(message), fromHex(signature))).toBe(true);
    expect(suite.verify(key.publicKey, concat(fromHex(message), utf8("!")), fromHex(signature))).toBe(false);
  });

  test("answers false, and never throws, for signatures and keys that are none", () => {
    const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(3));
    const message = utf8("message");
    const signature = suite.sign(key, message);
    for (const other of [
      NOTHING,
      signature.subarray(0, 63),
      concat(signature, NOTHING, Uint8Array.of(0)),
      signature.subarray(32),
    ]) {
      expect(suite.verify(key.publicKey, message, other)).toBe(false);
    }
    expect(suite.verify(Ed25519PublicKey.parse(offTheCurve()), message, signature)).toBe(false);
    expect(suite.verify(unchecked(Ed25519PublicKey, "00"), message, signature)).toBe(false);
    expect(suite.verify(key.publicKey, message, signature)).toBe(true);
  });

  test("refuses tags shorter than 16 bytes, and ciphertexts shorter than a tag", () => {
    const aead = suite.aead(new Uint8Array(32).fill(1));
    const sealed = aead.seal(0n, NOTHING, utf8("plaintext"));
    for (const missing of [1, 4, 8, 12, 15]) {
      expect(aead.open(0n, NOTHING, sealed.subarray(0, -missing))).toBeUndefined();
    }
    const empty = aead.seal(0n, NOTHING, NOTHING);
    for (let length = 0; length < 16; length++)
      expect(aead.open(0n, NOTHING, empty.subarray(0, length))).toBeUndefined();
    expect(aead.open(0n, NOTHING, empty)).toEqual(NOTHING);
  });

  test("opens with the same counter, associated data and key alone", () => {
    const aead = suite.aead(new Uint8Array(32).fill(1));
    const sealed = aead.seal(5n, utf8("ad"), utf8("plaintext"));
    expect(aead.open(5n, utf8("ad"), sealed)).toEqual(utf8("plaintext"));
    expect(aead.open(6n, utf8("ad"), sealed)).toBeUndefined();
    expect(aead.open(5n + (1n << 32n), utf8("ad"), sealed)).toBeUndefined();
    expect(aead.open(5n, utf8("da"), sealed)).toBeUndefined();
    expect(suite.aead(new Uint8Array(32).fill(2)).open(5n, utf8("ad"), sealed)).toBeUndefined();
  });

  test("takes counters from 0 to 2^64 - 2", () => {
    const aead = suite.aead(new Uint8Array(32));
    const last = 2n ** 64n - 2n;
    expect(aead.open(last, NOTHING, aead.seal(last, NOTHING, utf8("x")))).toEqual(utf8("x"));
    for (const counter of [-1n, 2n ** 64n - 1n, 2n ** 64n]) {
      const uses: ((aead: Aead) => unknown)[] = [
        (it) => it.seal(counter, NOTHING, NOTHING),
        (it) => it.sealParts(counter, NOTHING, [NOTHING]),
        (it) => it.open(counter, NOTHING, new Uint8Array(16)),
      ];
      for (const use of uses) expect(() => use(aead)).toThrow("broken invariant");
    }
  });

  test("keeps a key of its own, so that the caller may erase it", () => {
    const key = new Uint8Array(32).fill(9);
    const aead = suite.aead(key);
    const before = aead.seal(0n, NOTHING, utf8("x"));
    key.fill(0);
    expect(aead.seal(0n, NOTHING, utf8("x"))).toEqual(before);
  });

  test("gives out plain byte arrays, whose slice() is a copy", () => {
    const key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(3));
    const aead = suite.aead(new Uint8Array(32));
    const exchange = X25519PrivateKey.parse(suite, new Uint8Array(32).fill(4));
    const outputs = [
      suite.sha256(),
      suite.sha512(),
      suite.hmacSha256(NOTHING),
      suite.x25519PublicKey(new Uint8Array(32).fill(5)),
      suite.ed25519PublicKey(new Uint8Array(32).fill(5)),
      suite.dh(exchange, exchange.publicKey),
      suite.sign(key, NOTHING),
      aead.seal(0n, NOTHING, NOTHING),
      ...aead.sealParts(0n, NOTHING, [utf8("a"), utf8("b")]),
      aead.open(0n, NOTHING, aead.seal(0n, NOTHING, utf8("x"))),
    ];
    for (const output of outputs) expect(output?.constructor).toBe(Uint8Array);
  });
});

test.each(CIPHERS)("the $name cipher seals and opens the message of RFC 8439 section 2.8.2", ({ cipher }) => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const nonce = fromHex("070000004041424344454647");
  const ad = fromHex("50515253c0c1c2c3c4c5c6c7");
  const text = utf8(
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
  );
  const sealed = concat(...cipher(key).seal(nonce, ad, [text.subarray(0, 7), text.subarray(7)]));
  expect(hex(sealed.subarray(0, 16))).toBe("d31a8d34648e60db7b86afbc53ef7ec2");
  expect(hex(sealed.subarray(-16))).toBe("1ae10b594f09e26a7e902ecbd0600691");
  expect(cipher(key).open(nonce, ad, sealed)).toEqual(text);
});

describe("loading a suite", () => {
  test("follows the preference, and prefers node:crypto without one", async () => {
    expect((await loadSuite(undefined)).name).toBe("native");
    expect((await loadSuite("native")).name).toBe("native");
    expect((await loadSuite("noble")).name).toBe("noble");
  });

  test.each(["", "openssl", "Native", "noble "])(
    "refuses the preference %j, naming the variable",
    async (preference) => {
      await expect(loadSuite(preference)).rejects.toThrow(SetupError);
      await expect(loadSuite(preference)).rejects.toMatchObject({
        code: "E_USAGE",
        message: expect.stringContaining("SSHNP_CRYPTO"),
      });
    },
  );
});

/** A key object with bytes that its parser refuses. */
function unchecked<T extends object>(type: { readonly prototype: T }, encoding: string): T {
  return Object.create(type.prototype, { bytes: { value: fromHex(encoding) } }) as T;
}

/** A y-coordinate of no point: canonical, so the key type takes it, and nothing verifies under it. */
function offTheCurve(): Uint8Array {
  const y = new Uint8Array(32);
  y[0] = 2;
  return y;
}
