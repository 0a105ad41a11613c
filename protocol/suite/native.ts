import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  diffieHellman,
  type JsonWebKeyInput,
  type KeyObject,
  sign as signWith,
  verify as verifyWith,
} from "node:crypto";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { type Ed25519PrivateKey, type Ed25519PublicKey, isOfSmallOrder } from "../../keys/ed25519.ts";
import { SecurityError } from "../../keys/errors.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { PUBLIC_KEYS_KEPT } from "../limits.ts";
import { type ChaCha20Poly1305, counterAead, TAG_BYTES } from "./counter-aead.ts";

/** The suite on node:crypto (OpenSSL). */
export const nativeSuite: CipherSuite = {
  name: "native",
  sha256: (...parts) => digest("sha256", parts),
  sha512: (...parts) => digest("sha512", parts),
  hmacSha256: (key, ...parts) => {
    const hmac = createHmac("sha256", key);
    for (const part of parts) hmac.update(part);
    return plain(hmac.digest());
  },
  x25519PublicKey: (privateKey) => rawPublicKey(importPrivateKey("X25519", privateKey)),
  dh: (privateKey, publicKey) => {
    try {
      return plain(
        diffieHellman({
          privateKey: privateKeyObject("X25519", privateKey.secretBytes()),
          publicKey: publicKeyObject("X25519", publicKey),
        }),
      );
    } catch (cause) {
      // OpenSSL refuses an all-zero shared secret (RFC 7748 section 6.1).
      throw new SecurityError("E_PROTOCOL", "no shared secret with this X25519 key", { cause });
    }
  },
  ed25519PublicKey: (seed) => rawPublicKey(importPrivateKey("Ed25519", seed)),
  sign: (privateKey: Ed25519PrivateKey, message) =>
    plain(signWith(null, message, privateKeyObject("Ed25519", privateKey.secretBytes()))),
  verify: (publicKey: Ed25519PublicKey, message, signature) => {
    if (isOfSmallOrder(signature.subarray(0, 32))) return false;
    try {
      const verdict: unknown = verifyWith(null, message, publicKeyObject("Ed25519", publicKey), signature);
      return verdict === true;
    } catch {
      return false;
    }
  },
  aead: (key) => counterAead(nativeChaCha20Poly1305(key)),
};

/** ChaCha20-Poly1305 by OpenSSL. Sealing copies nothing: each part becomes one piece of ciphertext. */
export function nativeChaCha20Poly1305(key: Uint8Array): ChaCha20Poly1305 {
  const secret = createSecretKey(key);
  return {
    seal: (nonce, ad, parts) => {
      const cipher = createCipheriv("chacha20-poly1305", secret, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(ad, { plaintextLength: 0 }); // the length matters to CCM alone
      const pieces = parts.map((part) => plain(cipher.update(part)));
      cipher.final();
      pieces.push(plain(cipher.getAuthTag()));
      return pieces;
    },
    open: (nonce, ad, ciphertext) => {
      if (ciphertext.length < TAG_BYTES) return undefined;
      const decipher = createDecipheriv("chacha20-poly1305", secret, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(ad, { plaintextLength: 0 });
      decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
      const plaintext = plain(decipher.update(ciphertext.subarray(0, -TAG_BYTES)));
      try {
        decipher.final();
      } catch {
        return undefined;
      }
      return plaintext;
    },
  };
}

type Curve = "X25519" | "Ed25519";

// Importing a private key costs as much as a DH. The array that a private key keeps to itself stands for the key here,
// so that the import which found its public half, while it was parsed, is the only one.
const privateKeys: Record<Curve, WeakMap<Uint8Array, KeyObject>> = { X25519: new WeakMap(), Ed25519: new WeakMap() };

function privateKeyObject(curve: Curve, own: Uint8Array): KeyObject {
  return privateKeys[curve].get(own) ?? importPrivateKey(curve, own);
}

function importPrivateKey(curve: Curve, bytes: Uint8Array): KeyObject {
  takesJwk ??= isJwkTaken();
  const key = takesJwk ? createPrivateKey(jwk(curve, bytes)) : importPkcs8(curve, bytes);
  privateKeys[curve].set(bytes, key);
  return key;
}

let takesJwk: boolean | undefined;

/** Node 24 takes no JWK without its public half; and in Node 20's OpenSSL 3.0 a key as DER costs ten DHs. */
function isJwkTaken(): boolean {
  try {
    createPrivateKey(jwk("X25519", new Uint8Array(32)));
    return true;
  } catch {
    return false;
  }
}

/** RFC 8410 section 7: a PrivateKeyInfo around the 32 bytes. */
function importPkcs8(curve: Curve, bytes: Uint8Array): KeyObject {
  const identifier = curve === "X25519" ? 0x6e : 0x70; // 1.3.101.110 and 1.3.101.112
  const header = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, identifier, 0x04, 0x22, 0x04, 0x20];
  const key = Buffer.alloc(header.length + bytes.length); // not of the memory that Buffers share
  key.set(header);
  key.set(bytes, header.length);
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8" });
  } finally {
    key.fill(0);
  }
}

/** A JWK must have an x; where that may be empty, the public half is taken from d alone. */
function jwk(curve: Curve, bytes: Uint8Array): JsonWebKeyInput {
  return { key: { kty: "OKP", crv: curve, d: base64Url(bytes), x: "" }, format: "jwk" };
}

/**
 * Imported when it is used: a quarter of a DH. A device's is used four times while its link comes up; kept for as long as the link, it
 * would be a tenth of that one's memory.
 */
const publicKeys = new Map<X25519PublicKey | Ed25519PublicKey, KeyObject>();

function publicKeyObject(curve: Curve, publicKey: X25519PublicKey | Ed25519PublicKey): KeyObject {
  const known = publicKeys.get(publicKey);
  if (known !== undefined) return known;
  const key = createPublicKey({ key: { kty: "OKP", crv: curve, x: base64Url(publicKey.bytes) }, format: "jwk" });
  publicKeys.set(publicKey, key);
  for (const first of publicKeys.keys()) {
    if (publicKeys.size <= PUBLIC_KEYS_KEPT) break;
    publicKeys.delete(first);
  }
  return key;
}

function rawPublicKey(privateKey: KeyObject): Uint8Array {
  const { x } = createPublicKey(privateKey).export({ format: "jwk" });
  return plain(Buffer.from(x ?? "", "base64url"));
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64url");
}

function digest(algorithm: "sha256" | "sha512", parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return plain(hash.digest());
}

/** The same memory as a Uint8Array: a Buffer's slice() shares where a Uint8Array's copies. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}
