/**
 * A statement is JSON text signed as SSHSIG (the format of `ssh-keygen -Y sign`), kept verbatim.
 * Its hash, which `prev`, prologues and log leaves hold, is SHA-256 of the text, without the signature.
 *
 * ```
 * namespace       sshnp-KIND@v1
 * all kinds       v, kind, subject, seq, prev, salt, issued, expires; then:
 * name            owner                         subject @acme
 * binding         role, x25519, ed25519         subject @acme/MEMBER
 * rendezvous      x25519, ed25519, addresses    subject rendezvous:NAME, signed by the directory's root key
 * ```
 * Fields stand in this order, printed as JSON.stringify prints; times are milliseconds since 1970 UTC.
 */
import * as v from "valibot";
import { base64, fromBase64, hex, utf8 } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { type Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { PeerError, SecurityError } from "../keys/errors.ts";
import { isMember, isName, type MemberName, type Name, type Role } from "../keys/names.ts";
import { parsePublicKeyLine } from "../keys/openssh.ts";
import type { SignedText, TextToSign } from "../keys/signed-text.ts";
import { signSshsig, verifySshsig } from "../keys/sshsig.ts";
import { X25519PublicKey } from "../keys/x25519.ts";
import { parseCanonicalJson } from "./canonical-json.ts";
import { MAX_RENDEZVOUS_ADDRESSES, STATEMENT_BYTES } from "./limits.ts";
import { isRendezvousAddress } from "./rendezvous-address.ts";

export type StatementKind = "name" | "binding" | "rendezvous";

interface StatementFields {
  /** From 1, rising by one with each statement on the subject. */
  readonly seq: number;
  /** Hash (hex) of the statement before on this subject; null at seq 1. */
  readonly prev: string | null;
  readonly issued: number;
  readonly expires: number | null;
}

/** "This owner key speaks for this name", signed by that key. */
export interface NameStatement extends StatementFields {
  readonly name: Name;
  /** The owner key as an OpenSSH public key line without comment. */
  readonly owner: string;
}

/** "This member has these keys", signed by the name's owner. */
export interface Binding extends StatementFields {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
}

/** "This rendezvous has these keys and addresses", signed by the directory's root key. */
export interface RendezvousStatement extends StatementFields {
  readonly rendezvous: string;
  readonly x25519: X25519PublicKey;
  readonly ed25519: Ed25519PublicKey;
  /** `tcp://`, `ws://` or `wss://` host:port. */
  readonly addresses: readonly string[];
}

/** A statement whose signature was verified over the received bytes, which were parsed afterwards. */
export interface Verified<Statement> {
  readonly statement: Statement;
  /** SHA-256 of the text, 32 bytes. */
  readonly hash: Uint8Array;
  readonly signed: SignedText;
}

/**
 * A name statement must be signed by the owner key that it names.
 * @throws {SecurityError} E_STATEMENT when it is not.
 * @throws {PeerError} E_PROTOCOL when the text is not a canonical name statement.
 */
export function verifyNameStatement(suite: CipherSuite, signed: SignedText): Verified<NameStatement> {
  const { signer, hash } = verifySignature(suite, "name", signed);
  const { subject, owner, ...fields } = parseCanonicalJson(nameSchema, signed.text, "a name statement");
  if (signer !== owner) throw new SecurityError("E_STATEMENT", "a name statement is not signed by the owner it names");
  return { statement: { ...fields, name: subject as Name, owner }, hash, signed };
}

/**
 * A binding counts only when `owner` (an OpenSSH public key line) signed it.
 * @throws {SecurityError} E_STATEMENT when somebody else did; {PeerError} E_PROTOCOL when it does not parse.
 */
export function verifyBinding(suite: CipherSuite, signed: SignedText, owner: string): Verified<Binding> {
  const { signer, hash } = verifySignature(suite, "binding", signed);
  const { subject, x25519, ed25519, ...fields } = parseCanonicalJson(bindingSchema, signed.text, "a binding");
  if (signer !== owner) throw new SecurityError("E_STATEMENT", "a binding is not signed by the owner of its name");
  const [name, member] = subject.split("/") as [Name, MemberName];
  return { statement: { ...fields, name, member, ...publicKeys(x25519, ed25519) }, hash, signed };
}

/**
 * A rendezvous counts only when the directory's root key (`root`, an OpenSSH public key line) signed it.
 * @throws {SecurityError} E_STATEMENT when somebody else did; {PeerError} E_PROTOCOL when it does not parse.
 */
export function verifyRendezvousStatement(
  suite: CipherSuite,
  signed: SignedText,
  root: string,
): Verified<RendezvousStatement> {
  const { signer, hash } = verifySignature(suite, "rendezvous", signed);
  const { subject, x25519, ed25519, ...fields } = parseCanonicalJson(
    rendezvousSchema,
    signed.text,
    "a rendezvous statement",
  );
  if (signer !== root) throw new SecurityError("E_STATEMENT", "a rendezvous is not signed by the directory's root key");
  const rendezvous = subject.slice(RENDEZVOUS_PREFIX.length);
  return { statement: { ...fields, rendezvous, ...publicKeys(x25519, ed25519) }, hash, signed };
}

/** The first statement of a name: its owner key, which is to sign it. `issued` in ms. */
export function firstNameStatement(
  random: RandomBytes,
  { name, owner, issued }: { readonly name: Name; readonly owner: string; readonly issued: number },
): TextToSign {
  const opening = opener("name", name, { seq: 1, prev: null, issued, expires: null }, random);
  return toSign("name", { ...opening, owner });
}

/** The same, signed. */
export function signFirstNameStatement(
  suite: CipherSuite,
  random: RandomBytes,
  ownerKey: Ed25519PrivateKey,
  statement: { readonly name: Name; readonly owner: string; readonly issued: number },
): SignedText {
  return sign(suite, ownerKey, firstNameStatement(random, statement));
}

/** A member's first binding, which the owner key is to sign. `issued` and `expires` in ms. */
export function firstBinding(random: RandomBytes, binding: Omit<Binding, "seq" | "prev">): TextToSign {
  const subject = bindingSubject(binding);
  const opening = opener("binding", subject, { ...binding, seq: 1, prev: null }, random);
  const { role, x25519, ed25519 } = binding;
  return toSign("binding", { ...opening, role, x25519: x25519.toJSON(), ed25519: ed25519.toJSON() });
}

/** The same, signed. */
export function signFirstBinding(
  suite: CipherSuite,
  random: RandomBytes,
  ownerKey: Ed25519PrivateKey,
  binding: Omit<Binding, "seq" | "prev">,
): SignedText {
  return sign(suite, ownerKey, firstBinding(random, binding));
}

/** A rendezvous statement; `prev` and `seq` continue those of the one it replaces. */
export function signRendezvousStatement(
  suite: CipherSuite,
  random: RandomBytes,
  rootKey: Ed25519PrivateKey,
  statement: RendezvousStatement,
): SignedText {
  const opening = opener("rendezvous", `${RENDEZVOUS_PREFIX}${statement.rendezvous}`, statement, random);
  const { x25519, ed25519, addresses } = statement;
  const fields = { x25519: x25519.toJSON(), ed25519: ed25519.toJSON(), addresses };
  return sign(suite, rootKey, toSign("rendezvous", { ...opening, ...fields }));
}

/** `@acme/MEMBER` */
export function bindingSubject(member: { readonly name: Name; readonly member: MemberName }): string {
  return `${member.name}/${member.member}`;
}

/** What a rendezvous may be called at its directory. */
export function isRendezvousName(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text);
}

/** Whether a statement is past its own end at `now` (ms). */
export function isExpired(statement: { readonly expires: number | null }, now: number): boolean {
  return statement.expires !== null && now >= statement.expires;
}

const RENDEZVOUS_PREFIX = "rendezvous:";

const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const lowerHex = (bytes: number) => v.pipe(v.string(), v.regex(new RegExp(`^[0-9a-f]{${2 * bytes}}$`)));
const key32 = v.pipe(
  v.string(),
  v.check((text) => isBase64Of32(text)),
);

const nameSchema = v.strictObject({
  ...openingEntries("name", (subject) => isName(subject)),
  owner: v.pipe(
    v.string(),
    v.check((line) => isPublicKeyLine(line)),
  ),
});

const bindingSchema = v.strictObject({
  ...openingEntries("binding", (subject) => {
    const [name, member, ...others] = subject.split("/");
    return isName(name ?? "") && isMember(member ?? "") && others.length === 0;
  }),
  role: v.picklist(["client", "device"]),
  x25519: key32,
  ed25519: key32,
});

const rendezvousSchema = v.strictObject({
  ...openingEntries(
    "rendezvous",
    (subject) => subject.startsWith(RENDEZVOUS_PREFIX) && isRendezvousName(subject.slice(RENDEZVOUS_PREFIX.length)),
  ),
  x25519: key32,
  ed25519: key32,
  addresses: v.pipe(
    v.array(
      v.pipe(
        v.string(),
        v.check((address) => isRendezvousAddress(address)),
      ),
    ),
    v.minLength(1),
    v.maxLength(MAX_RENDEZVOUS_ADDRESSES),
  ),
});

function openingEntries(kind: StatementKind, isSubject: (text: string) => boolean) {
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

function opener(kind: StatementKind, subject: string, fields: StatementFields, random: RandomBytes): object {
  const { seq, prev, issued, expires } = fields;
  return { v: 1, kind, subject, seq, prev, salt: hex(random(16)), issued, expires };
}

function toSign(kind: StatementKind, statement: object): TextToSign {
  return { namespace: namespaceOf(kind), text: JSON.stringify(statement) };
}

function sign(suite: CipherSuite, key: Ed25519PrivateKey, { namespace, text }: TextToSign): SignedText {
  return { text, signature: signSshsig(suite, key, namespace, utf8(text)) };
}

function verifySignature(suite: CipherSuite, kind: StatementKind, signed: SignedText) {
  const bytes = utf8(signed.text);
  if (bytes.length > STATEMENT_BYTES) throw new PeerError("E_PROTOCOL", "a statement is too long");
  return { signer: verifySshsig(suite, signed.signature, namespaceOf(kind), bytes), hash: suite.sha256(bytes) };
}

function publicKeys(x25519: string, ed25519: string): { x25519: X25519PublicKey; ed25519: Ed25519PublicKey } {
  return {
    x25519: X25519PublicKey.parse(fromBase64(x25519, 32)),
    ed25519: Ed25519PublicKey.parse(fromBase64(ed25519, 32)),
  };
}

function namespaceOf(kind: StatementKind): string {
  return `sshnp-${kind}@v1`;
}

function isBase64Of32(text: string): boolean {
  try {
    return base64(fromBase64(text, 32)) === text;
  } catch {
    return false;
  }
}

function isPublicKeyLine(line: string): boolean {
  try {
    return parsePublicKeyLine(line).line === line;
  } catch {
    return false;
  }
}
