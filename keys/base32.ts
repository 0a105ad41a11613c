import { PeerError } from "./errors.ts";

/** Crockford's alphabet: digits and letters without i, l, o and u, which people mistake for others. */
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";

/** The first `characters` * 5 bits of `bytes` for people to read aloud and type: groups of four with hyphens between. */
export function base32(bytes: Uint8Array, characters: number): string {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  let text = "";
  for (let i = 1; i <= characters; i++) {
    const shift = BigInt(8 * bytes.length - 5 * i);
    text += ALPHABET[Number((bits >> shift) & 31n)] ?? "";
    if (i % 4 === 0 && i < characters) text += "-";
  }
  return text;
}

/**
 * What somebody typed, as {@link base32} prints it: case and hyphens are of no account, o is 0, i and l are 1.
 * @throws {PeerError} E_PROTOCOL when it is not `characters` long, or has others.
 */
export function asBase32(text: string, characters: number): string {
  const letters = text.toLowerCase().replace(/[- ]/g, "").replace(/o/g, "0").replace(/[il]/g, "1");
  if (letters.length !== characters || Array.from(letters).some((letter) => !ALPHABET.includes(letter))) {
    throw new PeerError("E_PROTOCOL", "not base32 of the expected length");
  }
  return letters.replace(/(.{4})(?=.)/g, "$1-");
}

/** The bytes of which {@link base32} made the text; `characters` is a multiple of eight. Throws as {@link asBase32}. */
export function fromBase32(text: string, characters: number): Uint8Array {
  const bytes = new Uint8Array((characters * 5) / 8);
  let bits = 0n;
  for (const letter of asBase32(text, characters).replaceAll("-", "")) {
    bits = (bits << 5n) | BigInt(ALPHABET.indexOf(letter));
  }
  for (let i = bytes.length - 1; i >= 0; i--, bits >>= 8n) bytes[i] = Number(bits & 255n);
  return bytes;
}
