/**
 * What statements of all kinds have in common: JSON text signed as SSHSIG (the format of `ssh-keygen -Y sign`), kept
 * verbatim. A statement's hash, which `prev`, prologues and the log hold, is SHA-256 of the text, without the signature.
 *
 * ```
 * namespace       sshnp-KIND@v1
 * all kinds       v, kind, subject, seq, prev, salt, issued, expires; then what the kind adds
 * ```
 * Fields stand in this order, printed as JSON.stringify prints; times are milliseconds since 1970 UTC.
 */
import * as v from "valibot";
import { base64, fromBase64, hex, utf8 } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { type Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError } from "../keys/errors.ts";
import { isMember, isName } from "../keys/names.ts";
import { parsePublicKeyLine } from "../keys/openssh.ts";
import { isSigningType } from "../keys/ssh-signature.ts";
import type { SignedText, TextToSign } from "../keys/signed-text.ts";
import { signSshsig, verifySshsig } from "../keys/sshsig.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import { LAST_TIME_MS, STATEMENT_BYTES } from "./limits.ts";

export const STATEMENT_KINDS = [
  "name",
  "rotation",
  "binding",
  "revocation",
  "delegation",
  "policy",
  "rendezvous",
] as const;
export type StatementKind = (typeof STATEMENT_KINDS)[number];

export interface StatementFields {
  /** From 1, rising by one with each statement on the subject. */
  readonly seq: number;
  /** Hash (hex) of the statement before on this subject; null at seq 1. */
  readonly prev: string | null;
  readonly issued: number;
  readonly expires: number | null;
}

/** A statement whose signature was verified over the received bytes, which were parsed afterwards. */
export interface Verified<Statement> {
  readonly statement: Statement;
  /** SHA-256 of the text, 32 bytes. */
  readonly hash: Uint8Array;
  readonly signed: SignedText;
}

/** Where the statement after `before` on the same subject stands; undefined: the first one. */
export function after(
  before: { readonly statement: { readonly seq: number }; readonly hash: Uint8Array } | undefined,
): Pick<StatementFields, "seq" | "prev"> {
  return before === undefined ? { seq: 1, prev: null } : { seq: before.statement.seq + 1, prev: hex(before.hash) };
}

/** The kind that a statement says it is of, before anything is verified; undefined when it does not begin like one. */
export function kindOf({ text }: SignedText): StatementKind | undefined {
  const [, kind] = /^\{"v":1,"kind":"([a-z]{4,10})","subject":"/.exec(text) ?? [];
  return STATEMENT_KINDS.find((known) => known === kind);
}

/** The subject of a statement of ours, or of one that was verified. */
export function subjectOf({ text }: Pick<SignedText, "text">): string {
  return /^\{"v":1,"kind":"[a-z]+","subject":"([^"]+)"/.exec(text)?.[1] ?? "";
}

/** The number of a statement that was verified before it was kept. */
export function seqOf({ text }: Pick<SignedText, "text">): number {
  return Number(/^\{"v":1,"kind":"[a-z]+","subject":"[^"]+","seq":([0-9]+),/.exec(text)?.[1] ?? 0);
}

/** SSHSIG namespace of a kind. */
export function namespaceOf(kind: StatementKind): string {
  return `sshnp-${kind}@v1`;
}

/** Signs with a key that is at hand. */
export function signWith(suite: CipherSuite, key: Ed25519PrivateKey, { text, namespace }: TextToSign): SignedText {
  return { text, signature: signSshsig(suite, key, namespace, utf8(text)) };
}

/** The text of a statement: the common fields, a new salt, then those of its kind. */
export function statementText(
  kind: StatementKind,
  subject: string,
  fields: StatementFields,
  random: RandomBytes,
  rest: object,
): TextToSign {
  const { seq, prev, issued, expires } = fields;
  const salt = hex(random(16));
  return {
    namespace: namespaceOf(kind),
    text: JSON.stringify({ v: 1, kind, subject, seq, prev, salt, issued, expires, ...rest }),
  };
}

/** Who signed, as an OpenSSH public key line. @throws {SecurityError} E_STATEMENT; {PeerError} E_PROTOCOL when it is too long. */
export function verifySignature(
  suite: CipherSuite,
  kind: StatementKind,
  signed: SignedText,
): { readonly signer: string; readonly hash: Uint8Array } {
  const bytes = utf8(signed.text);
  if (bytes.length > STATEMENT_BYTES) throw new PeerError("E_PROTOCOL", "a statement is too long");
  return { signer: verifySshsig(suite, signed.signature, namespaceOf(kind), bytes), hash: suite.sha256(bytes) };
}

/** Whether a statement is past its own end at `now` (ms). */
export function isExpired(statement: { readonly expires: number | null }, now: number): boolean {
  return statement.expires !== null && now >= statement.expires;
}

/** Schemas of the common fields; `isSubject` says which subjects the kind has. */
export function openingEntries(kind: StatementKind, isSubject: (text: string) => boolean) {
  return {
    v: v.literal(1),
    kind: v.literal(kind),
    subject: v.pipe(
      v.string(),
      v.check((subject) => isSubject(subject)),
    ),
    seq: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    prev: v.nullable(lowerHex(32)),
    salt: lowerHex(16),
    issued: time,
    expires: v.nullable(time),
  };
}

/** `@acme/MEMBER` */
export function isMemberSubject(subject: string): boolean {
  const [name, member, ...others] = subject.split("/");
  return isName(name ?? "") && isMember(member ?? "") && others.length === 0;
}

/** An owner key: a line without comment, of a key that can sign statements. */
export const ownerLine = v.pipe(
  v.string(),
  v.check((line) => isOwnerLine(line)),
);

/** base64 of 32 bytes */
export const key32 = v.pipe(
  v.string(),
  v.check((text) => isBase64Of32(text)),
);

export function publicKeys(x25519: string, ed25519: string): { x25519: X25519PublicKey; ed25519: Ed25519PublicKey } {
  return {
    x25519: X25519PublicKey.parse(fromBase64(x25519, 32)),
    ed25519: Ed25519PublicKey.parse(fromBase64(ed25519, 32)),
  };
}

/** ms since 1970 UTC, of which everybody can make a date. */
export const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(LAST_TIME_MS));

function lowerHex(bytes: number) {
  return v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`)));
}

function isBase64Of32(text: string): boolean {
  try {
    return base64(fromBase64(text, 32)) === text;
  } catch {
    return false;
  }
}

function isOwnerLine(text: string): boolean {
  try {
    const { line, type } = parsePublicKeyLine(text);
    return line === text && isSigningType(type);
  } catch {
    return false;
  }
}
