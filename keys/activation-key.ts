import type { CipherSuite } from "./cipher-suite.ts";
import { Ed25519PrivateKey } from "./ed25519.ts";
import { hkdfSha256 } from "./hkdf.ts";
import type { Name } from "./names.ts";
import type { Secret } from "./secret.ts";

/**
 * The key that a one-time secret (32 bytes) stands for. The directory keeps its public half alone, so a stolen
 * database activates nothing; the name is in it, so a secret is good for one name.
 *
 * Ed25519 seed = HKDF-SHA256(secret, no salt, info "sshnp activation " || name), 32 bytes.
 */
export function activationKey(suite: CipherSuite, secret: Secret, name: Name | "rendezvous"): Ed25519PrivateKey {
  const info = `sshnp activation ${name}`;
  const seed = hkdfSha256(suite, secret.secretBytes(), { salt: new Uint8Array(0), info, length: 32 });
  return Ed25519PrivateKey.parse(suite, seed);
}
