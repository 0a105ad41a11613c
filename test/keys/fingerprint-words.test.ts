import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { compareWords, FINGERPRINT_WORDS, fingerprintWords } from "../../keys/fingerprint-words.ts";
import { fingerprint, parseFingerprint } from "../../keys/openssh.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { wordlist } from "@scure/bip39/wordlists/english.js";

const blobs = fc.uint8Array({ minLength: 1, maxLength: 100 });

test("the list is the one that everybody has", () => {
  // The file of the Bitcoin Improvement Proposals: one word a line.
  const hash = createHash("sha256")
    .update(`${wordlist.join("\n")}\n`)
    .digest("hex");
  expect(hash).toBe("2f5eed53a4727b4bf8880d8f3f199efc90e58503646d9ff8eff3a2ed3b24dbda");
  expect(new Set(wordlist.map((word) => word.slice(0, 4))).size).toBe(2048);
});

test.each([
  [0x00, "abandon"],
  [0xff, "zoo"],
])("a digest of bytes %d is ten times %s", async (byte, word) => {
  const text = parseFingerprint(`SHA256:${Buffer.alloc(32, byte).toString("base64").slice(0, -1)}`);
  expect(await fingerprintWords(text)).toBe(Array(10).fill(word).join(" "));
});

test("the words are the first 110 bits of the digest, eleven each, as a string of bits tells them", async () => {
  await fc.assert(
    fc.asyncProperty(blobs, async (blob) => {
      const digest = createHash("sha256").update(blob).digest();
      const bits = Array.from(digest, (byte) => byte.toString(2).padStart(8, "0")).join("");
      const expected = (bits.slice(0, 110).match(/.{11}/g) ?? []).map((group) => wordlist[Number.parseInt(group, 2)]);
      expect((await fingerprintWords(fingerprint(suite, blob))).split(" ")).toEqual(expected);
    }),
  );
});

test("words that were heard are compared, whatever their case and the blanks in between", async () => {
  await fc.assert(
    fc.asyncProperty(blobs, fc.boolean(), fc.constantFrom(" ", "  ", "\n", "\t"), async (blob, isOnePiece, blank) => {
      const key = fingerprint(suite, blob);
      const words = (await fingerprintWords(key)).toUpperCase().split(" ");
      expect(await compareWords(key, isOnePiece ? [words.join(blank)] : words)).toEqual([]);
    }),
  );
});

test("the places of words that differ are told", async () => {
  const places = fc.uniqueArray(fc.integer({ min: 1, max: FINGERPRINT_WORDS }));
  await fc.assert(
    fc.asyncProperty(blobs, places, async (blob, differing) => {
      const key = fingerprint(suite, blob);
      const words = (await fingerprintWords(key)).split(" ");
      for (const place of differing) words[place - 1] = words[place - 1] === "zoo" ? "abandon" : "zoo";
      expect(await compareWords(key, words)).toEqual(differing.toSorted((a, b) => a - b));
    }),
  );
});

test.each([
  [["abandon"]],
  [Array<string>(11).fill("abandon")],
  [[...Array<string>(9).fill("abandon"), "aband"]],
  [[...Array<string>(9).fill("abandon"), "\u202ezoo"]],
  [[...Array<string>(9).fill("abandon"), "constructor"]],
  [[" ".repeat(100_000_000)]],
  [[]],
])("%.60j is no words of a fingerprint", async (heard) => {
  const error = expect.objectContaining({
    code: "E_USAGE",
    message: expect.stringMatching(/^[ -~]{1,200}$/) as string,
  });
  const key = parseFingerprint(`SHA256:${"A".repeat(43)}`);
  await expect(compareWords(key, heard)).rejects.toThrow(error);
});
