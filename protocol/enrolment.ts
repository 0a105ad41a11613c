/**
 * Enrolment with a one-time password: a new machine makes its keys and asks, with both of them and the password's key,
 * to become a member; the owner compares a short code and signs its binding.
 *
 * ```
 * one-time password    v, kind "password", name, key, role or null, pattern or null, salt, issued, expires
 *                      SSHSIG `sshnp-password@v1` of the owner key; no statement: it is not in the log, and admits nobody
 * proof                u16-prefixed: "LABEL enrolment", nonce, directory fingerprint, name, member, role, X25519, Ed25519
 *                      signed (raw Ed25519) by the password's key and by the member's; the X25519 key seals the message
 * code                 the first 80 bits of SHA-256(u16-prefixed: "LABEL code", name, member, role, X25519, Ed25519)
 * denial               u16-prefixed: "LABEL denial", directory fingerprint, name, member, X25519, Ed25519
 *                      SSHSIG `sshnp-denial@v1` of the owner key
 * ```
 */
import * as v from "valibot";
import { base32 } from "../keys/base32.ts";
import { fromBase64, hex, prefixed16, utf8 } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError, SecurityError } from "../keys/errors.ts";
import { isName, type MemberName, type Name, type Role } from "../keys/names.ts";
import type { SignedText, TextToSign } from "../keys/signed-text.ts";
import { verifySshsig } from "../keys/sshsig.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { parseCanonicalJson } from "./canonical-json.ts";
import { LABEL } from "./label.ts";
import { ENROLMENT_MS, PASSWORD_MS, PASSWORD_TEXT_BYTES } from "./limits.ts";
import type { OwnerChain } from "./owner-chain.ts";
import { isOfPattern, isPattern } from "./owner-statements.ts";
import { key32, time } from "./statement-fields.ts";

export const PASSWORD_NAMESPACE = "sshnp-password@v1";
export const DENIAL_NAMESPACE = "sshnp-denial@v1";

/** "Whoever holds this key may ask, once, to become a member." */
export interface OneTimePassword {
  readonly name: Name;
  readonly key: Ed25519PublicKey;
  /** Null: either. */
  readonly role: Role | null;
  /** A member, or the beginning of one and `*`; null: any. */
  readonly pattern: string | null;
  /** ms since 1970 UTC, as {@link expires}. */
  readonly issued: number;
  readonly expires: number;
}

/** Who asks to become what. */
export interface Applicant {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
}

/** An enrolment that waits for its owner, with all that shows that it was asked for. */
export interface PendingEnrolment extends Applicant {
  /** The one-time password that it was asked with, as the owner signed it. */
  readonly password: SignedText;
  /** 16 bytes, of the directory's. */
  readonly nonce: Uint8Array;
  /** ms since 1970 UTC. */
  readonly requested: number;
  readonly passwordSignature: Uint8Array;
  readonly ownSignature: Uint8Array;
}

/** A one-time password, to be signed by the name's owner. */
export function oneTimePasswordText(random: RandomBytes, password: OneTimePassword): TextToSign {
  const { name, key, role, pattern, issued, expires } = password;
  const fields = {
    v: 1,
    kind: "password",
    name,
    key: key.toJSON(),
    role,
    pattern,
    salt: hex(random(16)),
    issued,
    expires,
  };
  return { namespace: PASSWORD_NAMESPACE, text: JSON.stringify(fields) };
}

/** Gives the signer, an OpenSSH public key line, beside it. @throws {SecurityError} E_STATEMENT; {PeerError} E_PROTOCOL. */
export function verifyOneTimePassword(
  suite: CipherSuite,
  signed: SignedText,
): OneTimePassword & { readonly signer: string } {
  const bytes = utf8(signed.text);
  if (bytes.length > PASSWORD_TEXT_BYTES) throw new PeerError("E_PROTOCOL", "a one-time password is too long");
  const signer = verifySshsig(suite, signed.signature, PASSWORD_NAMESPACE, bytes);
  const { name, key, role, pattern, issued, expires } = parseCanonicalJson(
    passwordSchema,
    signed.text,
    "a one-time password",
  );
  if (expires - issued > PASSWORD_MS) throw new PeerError("E_PROTOCOL", "a one-time password is to live too long");
  return {
    name: name as Name,
    key: Ed25519PublicKey.parse(fromBase64(key, 32)),
    role,
    pattern,
    issued,
    expires,
    signer,
  };
}

/** Whether a one-time password is for such a member. */
export function isForApplicant(
  { name, role, pattern }: OneTimePassword,
  applicant: Pick<Applicant, "name" | "member" | "role">,
): boolean {
  return (
    name === applicant.name &&
    (role === null || role === applicant.role) &&
    (pattern === null || isOfPattern(applicant.member, pattern))
  );
}

/** The bytes that prove an enrolment: who wants to become what, at which directory, in answer to which nonce. */
export function enrolmentProof(
  challenge: { readonly nonce: Uint8Array; readonly directoryFingerprint: string },
  applicant: Applicant,
): Uint8Array {
  const { nonce, directoryFingerprint } = challenge;
  const { name, member, role, x25519, ed25519 } = applicant;
  const words = [name, member, role].map(utf8);
  return prefixed16(
    ...[utf8(`${LABEL} enrolment`), nonce, utf8(directoryFingerprint), ...words],
    ...[x25519.bytes, ed25519.bytes],
  );
}

/** What both sides show to be compared, `7k3f-9qzm-x2hc-b5w1`: 80 bits. */
export function enrolmentCode(suite: CipherSuite, { name, member, role, x25519, ed25519 }: Applicant): string {
  const words = [`${LABEL} code`, name, member, role].map(utf8);
  return base32(suite.sha256(prefixed16(...words, x25519.bytes, ed25519.bytes)), CODE_CHARACTERS);
}

/** Characters of a code, of 5 bits each, hyphens not counted. */
export const CODE_CHARACTERS = 16;

/** What the owner signs to send an applicant away. */
export function denialProof(
  directoryFingerprint: string,
  { name, member, x25519, ed25519 }: Omit<Applicant, "role">,
): Uint8Array {
  const words = [`${LABEL} denial`, directoryFingerprint, name, member].map(utf8);
  return prefixed16(...words, x25519.bytes, ed25519.bytes);
}

/**
 * Demands that a pending enrolment was asked for by whoever holds the member's Ed25519 key and a one-time password that an
 * owner gave for such a member: the directory cannot have made it up. Gives that password, or undefined where it counts no
 * more at `now` (ms): a former owner gave it, or it was past its end when it was used, or the enrolment is past its own.
 * @throws {SecurityError} E_STATEMENT; {PeerError} E_PROTOCOL.
 */
export function verifyPendingEnrolment(
  suite: CipherSuite,
  directoryFingerprint: string,
  { owner, former }: Pick<OwnerChain, "owner" | "former">,
  pending: PendingEnrolment,
  now: number,
): OneTimePassword | undefined {
  const password = verifyOneTimePassword(suite, pending.password);
  const proof = enrolmentProof({ nonce: pending.nonce, directoryFingerprint }, pending);
  const isAsked =
    (password.signer === owner || former.includes(password.signer)) &&
    isForApplicant(password, pending) &&
    suite.verify(password.key, proof, pending.passwordSignature) === true &&
    suite.verify(pending.ed25519, proof, pending.ownSignature) === true;
  // When it came, the directory says; so nobody gets further with a password than that long after its end.
  const isInTime = pending.requested < password.expires && now < pending.requested + ENROLMENT_MS;
  if (isAsked) return password.signer === owner && isInTime ? password : undefined;
  throw new SecurityError(
    "E_STATEMENT",
    `The directory gives an enrolment of ${pending.member} of ${pending.name} that nobody has asked for.`,
    { next: "Approve nothing of it. Trust nothing new from this directory until that is clear." },
  );
}

const passwordSchema = v.strictObject({
  v: v.literal(1),
  kind: v.literal("password"),
  name: v.pipe(
    v.string(),
    v.check((name) => isName(name)),
  ),
  key: key32,
  role: v.nullable(v.picklist(["client", "device"])),
  pattern: v.nullable(
    v.pipe(
      v.string(),
      v.check((pattern) => isPattern(pattern)),
    ),
  ),
  salt: v.pipe(v.string(), v.regex(/^[0-9a-f]{32}$/)),
  issued: time,
  expires: time,
});
