/**
 * Fingerprints as words, for two people who compare a key by ear: one reads them from a screen, the other listens.
 *
 * ```
 * digest   SHA-256 of the key blob, 32 bytes: what stands behind `SHA256:` of the fingerprint
 * word i   the i-th group of 11 bits of the digest, from its first bit on, as an index into the list; i from 1 to 10
 * list     2048 English words (BIP-39); the first four letters tell each from all others
 * ```
 *
 * Ten words are 110 bits. Whoever wants another key with the words of a given one has to try 2^110 keys, and a try may
 * cost as little as one round of SHA-256: a `sk-` key has a text in it that its maker chooses, so no curve needs computing.
 * At 10^21 tries a second, which is what all miners of Bitcoin do together, that takes 41,000 years, and two weeks for who
 * is content with any one of a million keys. Eight words, 88 bits, would take four days, and no second. Two keys of one's
 * own with the same words are found in 2^55 tries, which helps nobody: both are his.
 *
 * Words are for comparing alone; what is pinned and accepted is the whole fingerprint.
 */
import { fromBase64, hex } from "./bytes.ts";
import { SetupError } from "./errors.ts";
import { quoted } from "./names.ts";
import type { Fingerprint } from "./openssh.ts";

/** How many words a fingerprint has. */
export const FINGERPRINT_WORDS = 10;

/** The words of a fingerprint, lower case, with a space in between: 39 to 89 characters. Loads the list. */
export async function fingerprintWords(fingerprint: Fingerprint): Promise<string> {
  return (await wordsOf(fingerprint)).join(" ");
}

/**
 * Compares what a person heard with the words of a fingerprint. Returns at which places, from 1, they differ: none when
 * all ten are the same. `heard` is as it was typed, in one piece or several; case and the blanks in between say nothing.
 * @throws {SetupError} E_USAGE when it is not ten words of the list.
 */
export async function compareWords(fingerprint: Fingerprint, heard: readonly string[]): Promise<readonly number[]> {
  const words = await parseWords(heard.join(" "));
  const expected = await wordsOf(fingerprint);
  return expected.flatMap((word, i) => (words[i] === word ? [] : [i + 1]));
}

/** Ten words of at most 8 letters, and room for generous blanks. */
const MAX_HEARD_CHARACTERS = 512;
const BITS_PER_WORD = 11;
const DIGEST_BITS = 256;

async function wordsOf(fingerprint: Fingerprint): Promise<readonly string[]> {
  const list = await loadWordlist();
  const digest = BigInt(`0x${hex(fromBase64(`${fingerprint.slice("SHA256:".length)}=`, DIGEST_BITS / 8))}`);
  return Array.from({ length: FINGERPRINT_WORDS }, (_, i) => {
    const shift = BigInt(DIGEST_BITS - BITS_PER_WORD * (i + 1));
    return list[Number((digest >> shift) % BigInt(list.length))] ?? "";
  });
}

async function parseWords(text: string): Promise<readonly string[]> {
  const words = text.length > MAX_HEARD_CHARACTERS ? [] : (text.toLowerCase().match(/[^ \t\r\n]+/g) ?? []);
  if (words.length !== FINGERPRINT_WORDS) {
    throw new SetupError("E_USAGE", `A fingerprint has ${FINGERPRINT_WORDS} words; that is not as many.`, {
      next: "Give them all, in order, as they were read to you.",
    });
  }
  const list = await loadWordlist();
  const strange = words.find((word) => !list.includes(word));
  if (strange !== undefined) {
    throw new SetupError("E_USAGE", `${quoted(strange)} is none of the words that fingerprints are read as.`, {
      next: "Let them be read once more, and have that one spelt.",
    });
  }
  return words;
}

/** Late, for a connect meets no new key as a rule. */
async function loadWordlist(): Promise<readonly string[]> {
  return (await import("@scure/bip39/wordlists/english.js")).wordlist;
}
