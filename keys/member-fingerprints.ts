import { concat } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import type { Ed25519PublicKey } from "./ed25519.ts";
import { ed25519Line, type Fingerprint, fingerprint, parsePublicKeyLine, sshString } from "./openssh.ts";
import type { X25519PublicKey } from "./x25519.ts";

/** The two keys of a member, as its binding names them, for people to compare. */
export interface MemberFingerprints {
  /** Of the key with which it takes part in handshakes: SHA-256 of `string "x25519"`, `string key`; SSH has no such keys. */
  readonly noise: Fingerprint;
  /** Of the key with which it signs, as `ssh-keygen -l` prints it. */
  readonly signing: Fingerprint;
}

export function memberFingerprints(
  suite: Pick<CipherSuite, "sha256">,
  { x25519, ed25519 }: { readonly x25519: X25519PublicKey; readonly ed25519: Ed25519PublicKey },
): MemberFingerprints {
  return {
    noise: fingerprint(suite, concat(sshString("x25519"), sshString(x25519.bytes))),
    signing: fingerprint(suite, parsePublicKeyLine(ed25519Line(ed25519)).blob),
  };
}
