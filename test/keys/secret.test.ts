import { hkdfSync, randomBytes } from "node:crypto";
import { inspect } from "node:util";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { activationKey } from "../../keys/activation-key.ts";
import { fromHex, hex, utf8 } from "../../keys/bytes.ts";
import { SetupError } from "../../keys/errors.ts";
import { hkdfSha256 } from "../../keys/hkdf.ts";
import { parseName } from "../../keys/names.ts";
import { parseCramSecret, Secret } from "../../keys/secret.ts";
import { hasPublicVectors, readPublicVectors, type Wycheproof } from "../support/public-vectors.ts";
import { SUITES } from "../support/suites.ts";

const CANARY = "correct horse battery staple";

test("a secret keeps its bytes, and every text that is made of it says [secret]", () => {
  const secret = Secret.fromText(CANARY);
  expect(secret.secretText()).toBe(CANARY);
  expect(secret.secretBytes()).toEqual(utf8(CANARY));
  const texts = [
    JSON.stringify({ secret }),
    secret.toString(),
    String(secret),
    inspect({ secret }, { showHidden: true }),
  ];
  for (const text of texts) {
    for (const form of [CANARY, hex(utf8(CANARY)), btoa(CANARY), [...utf8(CANARY)].slice(0, 8).join(",")]) {
      expect(text).not.toContain(form);
    }
  }
  expect(texts.slice(0, 3)).toEqual(['{"secret":"[secret]"}', "[secret]", "[secret]"]);
  expect(Object.getOwnPropertyNames(secret)).toEqual([]);
});

test("a secret is not changed through the bytes that it was made of", () => {
  const bytes = utf8(CANARY);
  const secret = Secret.fromBytes(bytes);
  bytes.fill(0);
  expect(secret.secretText()).toBe(CANARY);
});

test("an activation secret is one line of 64 hex digits, with or without its line end", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.constantFrom("", "\n", "\r\n"), (bytes, end) => {
      expect(parseCramSecret(hex(bytes) + end).secretBytes()).toEqual(bytes);
    }),
  );
});

test.each([
  ["nothing", () => ""],
  ["a cut-off copy", (text: string) => text.slice(0, -1)],
  ["a digit too many", (text: string) => `${text}0`],
  ["upper case", (text: string) => text.toUpperCase()],
  ["white space in front", (text: string) => ` ${text}`],
  ["white space behind", (text: string) => `${text} `],
  ["two line ends", (text: string) => `${text}\n\n`],
  ["two lines", (text: string) => `${text}\n${text}`],
  ["a line break in the midst", (text: string) => `${text.slice(0, 32)}\n${text.slice(32)}`],
  ["another letter", (text: string) => text.replace(/.$/, "g")],
  ["a digit of another script", (text: string) => text.replace(/.$/, "١")],
  ["a prefix", (text: string) => `0x${text}`],
])("an activation secret with %s is refused, and not repeated", (_, change) => {
  const text = change("09a4e0b7".repeat(8));
  let thrown: unknown;
  try {
    parseCramSecret(text);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(SetupError);
  expect(thrown).toMatchObject({
    code: "E_CRAM_WRONG",
    next: "It is one line of 64 hex digits; check for a cut-off copy.",
  });
  expect(inspect(thrown, { showHidden: true }).toLowerCase()).not.toContain("09a4e0b7");
});

describe.each(SUITES.map((suite) => [suite.name, suite] as const))("HKDF-SHA256 on %s", (_, suite) => {
  test("agrees with node:crypto", () => {
    const bytes = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(bytes, bytes, bytes, fc.integer({ min: 1, max: 300 }), (secret, salt, info, length) => {
        const theirs = new Uint8Array(hkdfSync("sha256", secret, salt, info, length));
        expect(hkdfSha256(suite, secret, { salt, info, length })).toEqual(theirs);
      }),
    );
  });

  test.skipIf(!hasPublicVectors)("agrees with the vectors of Wycheproof", () => {
    type Case = { ikm: string; salt: string; info: string; size: number; okm: string };
    const cases = (readPublicVectors("wycheproof-hkdf_sha256.json") as Wycheproof<unknown, Case>).testGroups.flatMap(
      (group) => group.tests,
    );
    expect(cases.length).toBeGreaterThan(80);
    for (const { ikm, salt, info, size, okm, result } of cases) {
      const derive = () => hkdfSha256(suite, fromHex(ikm), { salt: fromHex(salt), info: fromHex(info), length: size });
      if (result === "valid") expect(hex(derive())).toBe(okm);
      else expect(derive).toThrow(RangeError);
    }
  });

  test("gives the activation key that RFC 5869 and RFC 8032 say", () => {
    const secret = randomBytes(32);
    const seed = new Uint8Array(hkdfSync("sha256", secret, "", "sshnp activation @acme", 32));
    const key = activationKey(suite, Secret.fromBytes(secret), parseName("@acme"));
    expect(key.secretBytes()).toEqual(seed);
    expect(key.publicKey.bytes).toEqual(suite.ed25519PublicKey(seed));
  });

  test("gives every name, and a rendezvous, an activation key of its own", () => {
    const secret = Secret.fromBytes(randomBytes(32));
    const names = [parseName("@acme"), parseName("@acm"), parseName("@rendezvous"), "rendezvous"] as const;
    const keys = names.map((name) => hex(activationKey(suite, secret, name).publicKey.bytes));
    expect(new Set(keys).size).toBe(names.length);
  });
});

test("an activation key is frozen: changing how it is derived would void every secret that is out", () => {
  const secret = parseCramSecret("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
  for (const suite of SUITES) {
    expect(hex(activationKey(suite, secret, parseName("@acme")).publicKey.bytes)).toBe(
      "1058ec7fd978153cb2da97ea33da3374ea94a1162474539bd5407fdc3523da41",
    );
  }
});
