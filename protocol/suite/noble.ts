import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { ed25519, x25519 } from "@noble/curves/ed25519.js";
import { hmac } from "@noble/hashes/hmac.js";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { concat, equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { isOfSmallOrder } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import { type ChaCha20Poly1305, counterAead, TAG_BYTES } from "./counter-aead.ts";

/** The suite on noble, for platforms without the native primitives. */
export const nobleSuite: CipherSuite = {
  name: "noble",
  sha256: (...parts) => sha256(concat(...parts)),
  sha512: (...parts) => sha512(concat(...parts)),
  hmacSha256: (key, ...parts) => hmac(sha256, key, concat(...parts)),
  x25519PublicKey: (privateKey) => x25519.getPublicKey(privateKey),
  dh: (privateKey, publicKey) => {
    try {
      return x25519.getSharedSecret(privateKey.secretBytes(), publicKey.bytes);
    } catch (cause) {
      // noble refuses what would give an all-zero shared secret (RFC 7748 section 6.1).
      throw new SecurityError("E_PROTOCOL", "no shared secret with this X25519 key", { cause });
    }
  },
  ed25519PublicKey: (seed) => ed25519.getPublicKey(seed),
  sign: (privateKey, message) => ed25519.sign(message, privateKey.secretBytes()),
  verify: (publicKey, message, signature) => {
    try {
      return signature.length === 64 && verifyWithoutCofactor(publicKey.bytes, message, signature);
    } catch {
      return false;
    }
  },
  aead: (key) => counterAead(nobleChaCha20Poly1305(key)),
};

/** ChaCha20-Poly1305 by noble. It knows no pieces, so sealing joins the parts: a copy, of little weight beside its cipher. */
export function nobleChaCha20Poly1305(key: Uint8Array): ChaCha20Poly1305 {
  const secret = new Uint8Array(key);
  return {
    seal: (nonce, ad, parts) => {
      const sealed = chacha20poly1305(secret, nonce, ad).encrypt(concat(...parts));
      return [sealed.subarray(0, -TAG_BYTES), sealed.subarray(-TAG_BYTES)];
    },
    open: (nonce, ad, ciphertext) => {
      if (ciphertext.length < TAG_BYTES) return undefined;
      try {
        return chacha20poly1305(secret, nonce, ad).decrypt(ciphertext);
      } catch {
        return undefined;
      }
    },
  };
}

/**
 * RFC 8032 section 5.1.7 with the equation that OpenSSL checks, [S]B = R + [k]A, comparing R as encoded.
 * noble's own verify multiplies both sides by 8, and so accepts signatures that OpenSSL refuses
 * (R or A with a part of small order): the two suites must never disagree on a signature.
 */
function verifyWithoutCofactor(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const { Point } = ed25519;
  const R = signature.subarray(0, 32);
  const S = littleEndian(signature.subarray(32));
  if (S >= Point.Fn.ORDER || isOfSmallOrder(R)) return false;
  const A = Point.fromBytes(publicKey);
  const k = littleEndian(sha512(concat(R, publicKey, message))) % Point.Fn.ORDER;
  return equalBytes(Point.BASE.multiplyUnsafe(S).subtract(A.multiplyUnsafe(k)).toBytes(), R);
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
