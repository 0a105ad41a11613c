/**
 * The statements that say who is who. statement-fields.ts has what all kinds have in common.
 *
 * ```
 * name            owner                         subject @acme
 * binding         role, x25519, ed25519         subject @acme/MEMBER
 * rendezvous      x25519, ed25519, addresses    subject rendezvous:NAME, signed by the directory's root key
 * ```
 */
import * as v from "valibot";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import type { Ed25519PrivateKey, Ed25519PublicKey } from "../keys/ed25519.ts";
import { SecurityError } from "../keys/errors.ts";
import { isName, type MemberName, type Name, type Role } from "../keys/names.ts";
import type { SignedText, TextToSign } from "../keys/signed-text.ts";
import type { X25519PublicKey } from "../keys/x25519.ts";
import { parseCanonicalJson } from "./canonical-json.ts";
import { MAX_RENDEZVOUS_ADDRESSES } from "./limits.ts";
import { isRendezvousAddress } from "./rendezvous-address.ts";
import {
  isMemberSubject,
  key32,
  openingEntries,
  ownerLine,
  publicKeys,
  signWith,
  type StatementFields,
  statementText,
  type Verified,
  verifySignature,
} from "./statement-fields.ts";

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

/** The first statement of a name: its owner key, signed by itself. `issued` in ms. */
export function signFirstNameStatement(
  suite: CipherSuite,
  random: RandomBytes,
  ownerKey: Ed25519PrivateKey,
  statement: { readonly name: Name; readonly owner: string; readonly issued: number },
): SignedText {
  return signWith(suite, ownerKey, firstNameStatement(random, statement));
}

/** The same, to be signed by the owner key that it names. */
export function firstNameStatement(
  random: RandomBytes,
  { name, owner, issued }: { readonly name: Name; readonly owner: string; readonly issued: number },
): TextToSign {
  return statementText("name", name, { seq: 1, prev: null, issued, expires: null }, random, { owner });
}

/** A member's first binding. `issued` and `expires` in ms. */
export function signFirstBinding(
  suite: CipherSuite,
  random: RandomBytes,
  ownerKey: Ed25519PrivateKey,
  binding: Omit<Binding, "seq" | "prev">,
): SignedText {
  return signWith(suite, ownerKey, firstBinding(random, binding));
}

/** The same, still to be signed. */
export function firstBinding(random: RandomBytes, binding: Omit<Binding, "seq" | "prev">): TextToSign {
  return bindingText(random, { ...binding, seq: 1, prev: null });
}

/** A binding, to be signed by the name's owner; or by a delegation of his, which may make first ones. */
export function bindingText(random: RandomBytes, binding: Binding): TextToSign {
  const { role, x25519, ed25519 } = binding;
  const rest = { role, x25519: x25519.toJSON(), ed25519: ed25519.toJSON() };
  return statementText("binding", bindingSubject(binding), binding, random, rest);
}

/** A rendezvous statement; `prev` and `seq` continue those of the one it replaces. */
export function signRendezvousStatement(
  suite: CipherSuite,
  random: RandomBytes,
  rootKey: Ed25519PrivateKey,
  statement: RendezvousStatement,
): SignedText {
  const { x25519, ed25519, addresses } = statement;
  const rest = { x25519: x25519.toJSON(), ed25519: ed25519.toJSON(), addresses };
  const subject = rendezvousSubject(statement.rendezvous);
  return signWith(suite, rootKey, statementText("rendezvous", subject, statement, random, rest));
}

/** `@acme/MEMBER` */
export function bindingSubject(member: { readonly name: Name; readonly member: MemberName }): string {
  return `${member.name}/${member.member}`;
}

/** What a rendezvous may be called at its directory. */
export function isRendezvousName(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?$/.test(text);
}

/** `rendezvous:NAME` */
export function rendezvousSubject(rendezvous: string): string {
  return `${RENDEZVOUS_PREFIX}${rendezvous}`;
}

const RENDEZVOUS_PREFIX = "rendezvous:";

const nameSchema = v.strictObject({
  ...openingEntries("name", (subject) => isName(subject)),
  owner: ownerLine,
});

const bindingSchema = v.strictObject({
  ...openingEntries("binding", isMemberSubject),
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
