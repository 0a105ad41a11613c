/**
 * What an owner says beside who is who: that a member or a delegation counts no more, that a key may make members in his
 * place, who may reach his devices.
 *
 * ```
 * revocation      reason                        subject @acme/MEMBER or @acme:delegation:ID
 * delegation      key, role, pattern, uses      subject @acme:delegation:ID
 * policy          policy: the YAML's text       subject @acme:policy
 * ```
 * All are signed by the owner key of the name. ID is 16 lower-case hex digits; `key` is base64 of an Ed25519 key.
 */
import * as v from "valibot";
import { fromBase64, utf8 } from "../keys/bytes.ts";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { Ed25519PublicKey } from "../keys/ed25519.ts";
import { SecurityError } from "../keys/errors.ts";
import { isMember, isName, type MemberName, type Name, type Role } from "../keys/names.ts";
import type { SignedText, TextToSign } from "../keys/signed-text.ts";
import { parseCanonicalJson } from "./canonical-json.ts";
import { DELEGATION_USES, POLICY_BYTES, REVOCATION_REASON_BYTES } from "./limits.ts";
import {
  isMemberSubject,
  key32,
  openingEntries,
  type StatementFields,
  type StatementKind,
  statementText,
  type Verified,
  verifySignature,
} from "./statement-fields.ts";

/** "This member, or this delegation, counts no more." Ends whatever stood on its subject, until a statement follows it. */
export interface Revocation extends StatementFields {
  readonly subject: string;
  /** For people; at most 256 bytes, which may say anything. */
  readonly reason: string;
}

/** "This key may sign first bindings of this role, for members of this pattern." */
export interface Delegation extends StatementFields {
  readonly name: Name;
  readonly id: string;
  readonly key: Ed25519PublicKey;
  readonly role: Role;
  /** A member, or the beginning of one and `*`. */
  readonly pattern: string;
  /** How many members at most: the directory's promise, and the log shows whether it is kept. */
  readonly uses: number;
}

/** Who may reach the devices of a name. */
export interface PolicyStatement extends StatementFields {
  readonly name: Name;
  /** YAML, at most 7 KiB. */
  readonly policy: string;
}

/** `@acme:policy` */
export function policySubject(name: Name): string {
  return `${name}${POLICY_SUFFIX}`;
}

/** `@acme:delegation:ID` */
export function delegationSubject({ name, id }: Pick<Delegation, "name" | "id">): string {
  return `${name}${DELEGATION_INFIX}${id}`;
}

/** @throws {SecurityError} E_STATEMENT when it is not signed by `owner` (an OpenSSH public key line); {PeerError} E_PROTOCOL. */
export function verifyRevocation(suite: CipherSuite, signed: SignedText, owner: string): Verified<Revocation> {
  const { hash, ...statement } = verified(suite, "revocation", revocationSchema, signed, owner);
  return { statement, hash, signed };
}

/** Throws as {@link verifyRevocation}. */
export function verifyDelegation(suite: CipherSuite, signed: SignedText, owner: string): Verified<Delegation> {
  const { hash, subject, key, ...rest } = verified(suite, "delegation", delegationSchema, signed, owner);
  const [name = "", id = ""] = subject.split(DELEGATION_INFIX);
  const publicKey = Ed25519PublicKey.parse(fromBase64(key, 32));
  return { statement: { ...rest, name: name as Name, id, key: publicKey }, hash, signed };
}

/** Whether the YAML is a policy is not looked at. Throws as {@link verifyRevocation}. */
export function verifyPolicyStatement(
  suite: CipherSuite,
  signed: SignedText,
  owner: string,
): Verified<PolicyStatement> {
  const { hash, subject, ...rest } = verified(suite, "policy", policySchema, signed, owner);
  return { statement: { ...rest, name: subject.slice(0, -POLICY_SUFFIX.length) as Name }, hash, signed };
}

export function revocationText(random: RandomBytes, revocation: Revocation): TextToSign {
  return statementText("revocation", revocation.subject, revocation, random, { reason: revocation.reason });
}

export function delegationText(random: RandomBytes, delegation: Delegation): TextToSign {
  const { key, role, pattern, uses } = delegation;
  const rest = { key: key.toJSON(), role, pattern, uses };
  return statementText("delegation", delegationSubject(delegation), delegation, random, rest);
}

export function policyText(random: RandomBytes, statement: PolicyStatement): TextToSign {
  return statementText("policy", policySubject(statement.name), statement, random, { policy: statement.policy });
}

/** Whether a member is one of `pattern`: the member itself, or its beginning and `*`. */
export function isOfPattern(member: MemberName, pattern: string): boolean {
  return pattern.endsWith("*") ? member.startsWith(pattern.slice(0, -1)) : member === pattern;
}

/** Whether that can be the pattern of a delegation. */
export function isPattern(text: string): boolean {
  if (!text.endsWith("*")) return isMember(text);
  return text === "*" || isMember(`${text.slice(0, -1)}0`);
}

const POLICY_SUFFIX = ":policy";
const DELEGATION_INFIX = ":delegation:";

function isDelegationSubject(subject: string): boolean {
  const [name = "", id = "", ...others] = subject.split(DELEGATION_INFIX);
  return isName(name) && /^[0-9a-f]{16}$/.test(id) && others.length === 0;
}

function isPolicySubject(subject: string): boolean {
  return subject.endsWith(POLICY_SUFFIX) && isName(subject.slice(0, -POLICY_SUFFIX.length));
}

const revocationSchema = v.strictObject({
  ...openingEntries("revocation", (subject) => isMemberSubject(subject) || isDelegationSubject(subject)),
  reason: v.pipe(
    v.string(),
    v.check((reason) => utf8(reason).length <= REVOCATION_REASON_BYTES),
  ),
});

const delegationSchema = v.strictObject({
  ...openingEntries("delegation", isDelegationSubject),
  key: key32,
  role: v.picklist(["client", "device"]),
  pattern: v.pipe(
    v.string(),
    v.check((pattern) => isPattern(pattern)),
  ),
  uses: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(DELEGATION_USES)),
});

const policySchema = v.strictObject({
  ...openingEntries("policy", isPolicySubject),
  policy: v.pipe(
    v.string(),
    v.check((text) => utf8(text).length <= POLICY_BYTES),
  ),
});

function verified<T extends object>(
  suite: CipherSuite,
  kind: StatementKind,
  schema: v.GenericSchema<T>,
  signed: SignedText,
  owner: string,
): T & { readonly hash: Uint8Array } {
  const { signer, hash } = verifySignature(suite, kind, signed);
  const fields = parseCanonicalJson(schema, signed.text, `a ${kind}`);
  if (signer !== owner) throw new SecurityError("E_STATEMENT", `A ${kind} is not signed by the owner of its name.`);
  return { ...fields, hash };
}
