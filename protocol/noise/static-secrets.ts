import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { X25519PrivateKey, X25519PublicKey } from "../../keys/x25519.ts";
import { STATIC_SECRETS_KEPT } from "../limits.ts";

/** By the other side's key, as the object that it is; the one that came first comes first. */
const recent = new Map<X25519PublicKey, { readonly own: X25519PrivateKey; readonly secret: Uint8Array }>();

/**
 * DH of two static keys, Noise's `ss`; only to be read. The one to a device's key is used three times while its link comes up, so those
 * made last are kept, with which nobody learns what the private key beside them does not tell.
 */
export function staticSecret(suite: CipherSuite, own: X25519PrivateKey, other: X25519PublicKey): Uint8Array {
  const known = recent.get(other);
  if (known?.own === own) return known.secret;
  const secret = suite.dh(own, other);
  recent.delete(other);
  recent.set(other, { own, secret });
  for (const first of recent.keys()) {
    if (recent.size <= STATIC_SECRETS_KEPT) break;
    recent.delete(first);
  }
  return secret;
}
