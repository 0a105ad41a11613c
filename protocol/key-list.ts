/**
 * The directory's keys of the day, signed by its root key as SSHSIG in namespace `sshnp-keys@v1`.
 *
 * ```
 * {"v":1,"seq":N,"issued":ms,"expires":ms,"sealing":[base64 X25519, ...],"ticket":[base64 Ed25519, ...],
 *  "log":base64 Ed25519,"origin":"..."}          current keys first, then the previous one
 * ```
 */
import * as v from "valibot";
import { fromBase64, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { type Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError, SecurityError } from "../keys/errors.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { signSshsig, verifySshsig } from "../keys/sshsig.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import { parseCanonicalJson } from "./canonical-json.ts";
import { KEY_LIST_BYTES } from "./limits.ts";
import { isKeyName } from "./log/note.ts";

export interface KeyList {
  readonly seq: number;
  /** Milliseconds since 1970 UTC. */
  readonly issued: number;
  readonly expires: number;
  /** Where sealed messages go: the current key, then the previous one. */
  readonly sealing: readonly X25519PublicKey[];
  /** What signs tickets: the current key, then the previous one. */
  readonly ticket: readonly Ed25519PublicKey[];
  readonly log: Ed25519PublicKey;
  /** What the log calls itself: the name of its key in signed notes. */
  readonly origin: string;
}

export interface VerifiedKeyList {
  readonly list: KeyList;
  /** The root key that signed it, as OpenSSH public key line. */
  readonly root: string;
  readonly signed: SignedText;
}

const NAMESPACE = "sshnp-keys@v1";

/**
 * Verifies a key list against the fingerprint in the directory's address.
 * Expiry and `seq` are the caller's to judge, who knows the time and the newest seen.
 * @throws {SecurityError} E_DIRECTORY_KEY when another key signed it, E_STATEMENT when the signature is bad.
 * @throws {PeerError} E_PROTOCOL when the text is not a canonical key list.
 */
export function verifyKeyList(suite: CipherSuite, signed: SignedText, rootFingerprint: Fingerprint): VerifiedKeyList {
  const bytes = utf8(signed.text);
  if (bytes.length > KEY_LIST_BYTES) throw new PeerError("E_PROTOCOL", "a key list is too long");
  const root = verifySshsig(suite, signed.signature, NAMESPACE, bytes);
  const presented = fingerprint(suite, parsePublicKeyLine(root).blob);
  if (presented !== rootFingerprint) {
    throw new SecurityError(
      "E_DIRECTORY_KEY",
      `The directory proves key ${presented}, but its address says ${rootFingerprint}.`,
      {
        next: "Compare with `sshnp-directory address --data DIR` on the directory's machine. Do not go on with another key.",
      },
    );
  }
  const { sealing, ticket, log, ...fields } = parseCanonicalJson(schema, signed.text, "a key list");
  return {
    list: {
      seq: fields.seq,
      issued: fields.issued,
      expires: fields.expires,
      origin: fields.origin,
      sealing: sealing.map((key) => X25519PublicKey.parse(fromBase64(key, 32))),
      ticket: ticket.map((key) => Ed25519PublicKey.parse(fromBase64(key, 32))),
      log: Ed25519PublicKey.parse(fromBase64(log, 32)),
    },
    root,
    signed,
  };
}

export function signKeyList(suite: CipherSuite, root: Ed25519PrivateKey, list: KeyList): SignedText {
  const { seq, issued, expires, sealing, ticket, log, origin } = list;
  const text = JSON.stringify({ v: 1, seq, issued, expires, sealing, ticket, log, origin });
  return { text, signature: signSshsig(suite, root, NAMESPACE, utf8(text)) };
}

const integer = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const keys = v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(2));
const schema = v.strictObject({
  v: v.literal(1),
  seq: integer,
  issued: integer,
  expires: integer,
  sealing: keys,
  ticket: keys,
  log: v.string(),
  origin: v.pipe(v.string(), v.maxLength(256), v.check(isKeyName)),
});
