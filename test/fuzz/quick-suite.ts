import { crc32 } from "node:zlib";
import { concat, equalBytes } from "../../keys/bytes.ts";
import type { Aead, CipherSuite, Kem } from "../../keys/cipher-suite.ts";

/*
 * Primitives that protect nothing and cost next to nothing. A parser behind a signature or a tag is reached only by inputs
 * that are signed or sealed after they were mutated; with the true ones that would be 0.15 to 5 ms for each. What is
 * fuzzed is the code around the primitives. They themselves have their own tests, and every parser is fuzzed with the true
 * ones as well, in one of 500 inputs.
 */

export const quickSuite: CipherSuite = {
  name: "noble",
  sha256: (...parts) => mixed(1, parts),
  sha512: (...parts) => concat(mixed(2, parts), mixed(3, parts)),
  hmacSha256: (key, ...parts) => mixed(4, [key, ...parts]),
  x25519PublicKey: (privateKey) => publicHalf(5, privateKey),
  dh: (privateKey, publicKey) => {
    const [a, b] = [privateKey.publicKey.bytes, publicKey.bytes];
    return mixed(6, isLess(a, b) ? [a, b] : [b, a]);
  },
  ed25519PublicKey: (seed) => publicHalf(7, seed),
  sign: (privateKey, message) => signature(privateKey.publicKey.bytes, message),
  verify: (publicKey, message, given) => equalBytes(given, signature(publicKey.bytes, message)),
  aead: quickAead,
};

/** As long as ML-KEM-768's keys and ciphertexts. */
export const quickKem: Kem = {
  keyPair: (seed) => {
    const publicKey = stretched(seed, 1184);
    return { publicKey, decapsulate: (ciphertext) => mixed(8, [publicKey, ciphertext]) };
  },
  encapsulate: (publicKey, seed) => {
    const ciphertext = stretched(seed, 1088);
    return { ciphertext, sharedSecret: mixed(8, [publicKey, ciphertext]) };
  },
};

function quickAead(key: Uint8Array): Aead {
  const tagOf = (counter: bigint, ad: Uint8Array, plaintext: readonly Uint8Array[]): Uint8Array =>
    mixed(9, [key, Uint8Array.of(Number(counter & 0xffn)), ad, ...plaintext]).subarray(0, 16);
  return {
    seal: (counter, ad, plaintext) => concat(plaintext, tagOf(counter, ad, [plaintext])),
    sealParts: (counter, ad, parts) => [...parts, tagOf(counter, ad, parts)],
    open: (counter, ad, ciphertext) => {
      if (ciphertext.length < 16) return undefined;
      const plaintext = new Uint8Array(ciphertext.subarray(0, -16));
      return equalBytes(ciphertext.subarray(-16), tagOf(counter, ad, [plaintext])) ? plaintext : undefined;
    },
  };
}

function signature(publicKey: Uint8Array, message: Uint8Array): Uint8Array {
  const half = mixed(10, [publicKey, message]);
  return concat(half, half);
}

/** Below 2^255 - 19, so that it may be a key. */
function publicHalf(label: number, secret: Uint8Array): Uint8Array {
  const bytes = mixed(label, [secret]);
  bytes[31] = (bytes[31] ?? 0) & 0x3f;
  return bytes;
}

function stretched(seed: Uint8Array, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  bytes.set(mixed(11, [seed]));
  return bytes;
}

/** 32 bytes that depend on every byte and every border. */
function mixed(label: number, parts: readonly Uint8Array[]): Uint8Array {
  let a = 0x811c9dc5 ^ label;
  for (const part of parts) {
    if (part.length > 48) a ^= crc32(part, a >>> 0);
    else for (let i = 0; i < part.length; i++) a = Math.imul(a ^ (part[i] ?? 0), 0x01000193);
    a = Math.imul(a ^ part.length, 0x85ebca6b);
  }
  const bytes = new Uint8Array(32);
  for (let at = 0; at < 32; at += 4) {
    a = Math.imul(a ^ (a >>> 15), 0xc2b2ae35) + at;
    bytes[at] = a;
    bytes[at + 1] = a >> 8;
    bytes[at + 2] = a >> 16;
    bytes[at + 3] = a >> 24;
  }
  return bytes;
}

function isLess(a: Uint8Array, b: Uint8Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return (a[i] ?? 0) < (b[i] ?? 0);
  return false;
}
