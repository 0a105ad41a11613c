import { base32, fromBase32 } from "./base32.ts";
import { fromHex, hex } from "./bytes.ts";
import type { CipherSuite, RandomBytes } from "./cipher-suite.ts";
import { Ed25519PrivateKey } from "./ed25519.ts";
import { SetupError } from "./errors.ts";
import { hkdfSha256 } from "./hkdf.ts";
import type { Name } from "./names.ts";
import { Secret } from "./secret.ts";

/*
 * What lets a machine in that has no keys yet. The directory sees of either the public half of a key alone, which it
 * stands for, so a stolen database enrols nobody.
 */

/** 80 bits: it is good for hours, and lets nobody in by itself. */
const PASSWORD_CHARACTERS = 16;

/** A new one-time password, 10 random bytes. */
export function newOneTimePassword(random: RandomBytes): Secret {
  return Secret.fromBytes(random((PASSWORD_CHARACTERS * 5) / 8));
}

/** As people read and type it: `7k3f-9qzm-x2hc-04vd`. To be shown once, to whoever made it. */
export function printOneTimePassword(password: Secret): string {
  return base32(password.secretBytes(), PASSWORD_CHARACTERS);
}

/** @throws {SetupError} E_TOKEN on any other text, without repeating it. */
export function parseOneTimePassword(text: string): Secret {
  try {
    return Secret.fromBytes(fromBase32(text.trim(), PASSWORD_CHARACTERS));
  } catch {
    throw new SetupError("E_TOKEN", "That is not a one-time password.", {
      next: "It is 16 letters and digits, such as 7k3f-9qzm-x2hc-04vd; check for a cut-off copy.",
    });
  }
}

/** The key that a one-time password stands for. Ed25519 seed = HKDF-SHA256(password, no salt, info "sshnp password " || name). */
export function passwordKey(suite: CipherSuite, password: Secret, name: Name): Ed25519PrivateKey {
  return derived(suite, password, `sshnp password ${name}`);
}

/** The 64 hex digits of a fleet token. To be shown once, to whoever made it. */
export function printFleetToken(token: Secret): string {
  return hex(token.secretBytes());
}

/** The 32 bytes of a fleet token: 64 lower-case hex digits. @throws {SetupError} E_TOKEN on any other text, without repeating it. */
export function parseFleetToken(text: string): Secret {
  try {
    return Secret.fromBytes(fromHex(text.trim(), 32));
  } catch {
    throw new SetupError("E_TOKEN", "That is not a fleet token.", {
      next: "It is one line of 64 hex digits; check for a cut-off copy.",
    });
  }
}

/** The key of the delegation that a fleet token stands for. Ed25519 seed = HKDF-SHA256(token, no salt, info "sshnp delegation " || name). */
export function delegationKey(suite: CipherSuite, token: Secret, name: Name): Ed25519PrivateKey {
  return derived(suite, token, `sshnp delegation ${name}`);
}

function derived(suite: CipherSuite, secret: Secret, info: string): Ed25519PrivateKey {
  const seed = hkdfSha256(suite, secret.secretBytes(), { salt: new Uint8Array(0), info, length: 32 });
  return Ed25519PrivateKey.parse(suite, seed);
}
