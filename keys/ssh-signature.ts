/**
 * Signatures in SSH's encoding, by the two types of keys that sign here: Ed25519, and Ed25519 on a FIDO2 token.
 *
 * ```
 * ssh-ed25519                  string type || string R, S (64 B)
 *   signed                     the message
 * sk-ssh-ed25519@openssh.com   string type || string R, S (64 B) || u8 flags || u32 counter
 *   signed                     SHA-256(application) || u8 flags || u32 counter || SHA-256(message)
 * flags                        1 user present, 4 user verified; the others say nothing here
 * ```
 * Sources: RFC 8709 section 6, OpenSSH PROTOCOL.u2f.
 */
import { ByteReader, concat, utf8, utf8Text } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import { SecurityError } from "./errors.ts";
import { ed25519FromBlob, type PublicKeyLine, type PublicKeyType, skEd25519FromBlob, sshString } from "./openssh.ts";

/** Whether keys of this type may sign: both are Ed25519, of which there is one equation and one form. */
export function isSigningType(type: PublicKeyType): type is "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" {
  return type === "ssh-ed25519" || type === SK;
}

/** The encoding of a raw Ed25519 signature (64 bytes) by an `ssh-ed25519` key. */
export function ed25519Signature(raw: Uint8Array): Uint8Array {
  return concat(sshString("ssh-ed25519"), sshString(raw));
}

/**
 * Whether `signature` is that of `key` over `message`. Its flags and counter are signed with it and its lengths are
 * fixed, so nobody makes another form of it; a token's signature counts only when somebody was there to touch it. Beyond
 * that, flags and counter are not looked at, as `ssh-keygen -Y verify` does not either.
 * @throws {SecurityError} E_STATEMENT when key or signature are of a kind that cannot count; {PeerError} E_PROTOCOL when
 * it does not parse.
 */
export function verifySignature(
  suite: CipherSuite,
  { type, blob }: PublicKeyLine,
  signature: Uint8Array,
  message: Uint8Array,
): boolean {
  if (!isSigningType(type)) throw signatureRefusal(`is by a key of type ${type}, which may not sign here`);
  const reader = new ByteReader(signature);
  if (utf8Text(reader.bytes32()) !== type) throw signatureRefusal("is of another algorithm than its key");
  const raw = reader.bytes32();
  if (type !== SK) {
    reader.end();
    return suite.verify(ed25519FromBlob(blob), message, raw) === true;
  }
  const flags = reader.raw(1);
  const counter = reader.raw(4);
  reader.end();
  if (((flags[0] ?? 0) & USER_PRESENT) === 0) throw signatureRefusal("was made by a token that nobody touched");
  const { key, application } = skEd25519FromBlob(blob);
  const signed = concat(suite.sha256(utf8(application)), flags, counter, suite.sha256(message));
  return suite.verify(key, signed, raw) === true;
}

/** Why a signature does not count, said so that `a signature` can stand in front of it. */
export function signatureRefusal(what: string, cause?: unknown): SecurityError {
  return new SecurityError("E_STATEMENT", `a signature ${what}`, { cause });
}

const SK = "sk-ssh-ed25519@openssh.com";
const USER_PRESENT = 0x01;
