/**
 * The statements about one member that travel together, so that whoever gets them can follow them from an owner key to
 * the member's keys.
 *
 * ```
 * u8 count (1..8), that many signed texts     the name statement and the rotations after it, the newest last
 * signed text                                 the newest statement on the member: a binding, or the revocation of it
 * u8 0..2, from 1 on: signed text             the delegation by which the binding was made
 *          if 2: signed text                  the revocation of that delegation
 * ```
 */
import type { ByteReader, ByteWriter } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { DeniedError, PeerError, SecurityError } from "../keys/errors.ts";
import { type MemberName, type Name, quoted } from "../keys/names.ts";
import { ed25519Line } from "../keys/openssh.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { CLIENT_BINDING_MS, OWNER_CHAIN } from "./limits.ts";
import type { OwnerChain } from "./owner-chain.ts";
import {
  type Delegation,
  delegationSubject,
  isOfPattern,
  verifyDelegation,
  verifyRevocation,
} from "./owner-statements.ts";
import { readSignedText, writeSignedText } from "./signed-text-wire.ts";
import { kindOf, type Verified } from "./statement-fields.ts";
import { type Binding, bindingSubject, verifyBinding } from "./statements.ts";

export interface MemberStatements {
  /** The name statement and the rotations after it, the newest last: 1 to OWNER_CHAIN. */
  readonly names: readonly SignedText[];
  /** The newest statement on the member: its binding, or the revocation of it. */
  readonly member: SignedText;
  /** The delegation by which the binding was made; undefined where the owner signed it himself, or has revoked the member. */
  readonly delegation: SignedText | undefined;
  /** What revokes that delegation, if the owner has. */
  readonly delegationRevocation?: SignedText | undefined;
}

/** A binding that its name's owner answers for, and the delegation of his that made it, if one did. */
export interface AnsweredBinding {
  readonly binding: Verified<Binding>;
  readonly delegation: Verified<Delegation> | undefined;
}

export function writeMemberStatements(writer: ByteWriter, statements: MemberStatements): void {
  const { names, member, delegation, delegationRevocation } = statements;
  writer.u8(names.length);
  for (const name of names) writeSignedText(writer, name);
  writeSignedText(writer, member);
  const made = [delegation, delegationRevocation].filter((signed) => signed !== undefined);
  writer.u8(made.length);
  for (const signed of made) writeSignedText(writer, signed);
}

/** @throws {PeerError} E_PROTOCOL. No signature is verified here. */
export function readMemberStatements(reader: ByteReader): MemberStatements {
  const count = reader.u8();
  if (count < 1 || count > OWNER_CHAIN) throw new PeerError("E_PROTOCOL", "wrong number of statements on a name");
  const names = Array.from({ length: count }, () => readSignedText(reader));
  const member = readSignedText(reader);
  const form = reader.u8();
  if (form > 2) throw new PeerError("E_PROTOCOL", "a delegation is there, with its revocation, or not");
  const delegation = form >= 1 ? readSignedText(reader) : undefined;
  return { names, member, delegation, ...(form === 2 && { delegationRevocation: readSignedText(reader) }) };
}

/**
 * The binding in them, which `owner` (of the chain in them) signed, or a delegation that he signed. A delegation makes first
 * bindings only, of its role and pattern, issued while it was good; it makes no delegation, and no binding makes anything.
 * @throws {DeniedError} E_REVOKED when the owner has revoked the member, or the delegation; {SecurityError} E_STATEMENT when somebody else signed,
 * or it is of another member; {PeerError} E_PROTOCOL when one does not parse.
 */
export function verifyMemberStatements(
  suite: CipherSuite,
  member: { readonly name: Name; readonly member: MemberName },
  owner: OwnerChain,
  { member: newest, delegation: signedDelegation, delegationRevocation }: MemberStatements,
): AnsweredBinding {
  if (kindOf(newest) === "revocation") {
    const { statement } = verifyRevocation(suite, newest, owner.owner);
    if (statement.subject !== bindingSubject(member)) throw another(member);
    throw revoked(member, statement.reason);
  }
  const delegation =
    signedDelegation === undefined ? undefined : verifyDelegation(suite, signedDelegation, owner.owner);
  const binding = verifyBinding(suite, newest, delegation === undefined ? owner.owner : lineOf(delegation));
  const { statement } = binding;
  if (statement.name !== member.name || statement.member !== member.member) throw another(member);
  if (delegation !== undefined) refuseBeyond(delegation.statement, statement);
  if (delegationRevocation !== undefined) {
    const { statement: revocation } = verifyRevocation(suite, delegationRevocation, owner.owner);
    // That of another one says nothing about this member.
    if (delegation === undefined || revocation.subject !== delegationSubject(delegation.statement))
      throw another(member);
    throw revokedToken(member, revocation.reason);
  }
  return { binding, delegation };
}

/** What the log must say is the newest on each subject for these statements to count, in the order of their proofs. */
export function newestOf(
  member: { readonly name: Name; readonly member: MemberName },
  owner: OwnerChain,
  { binding, delegation }: AnsweredBinding,
): readonly { readonly subject: string; readonly newest: Uint8Array }[] {
  return [
    { subject: member.name, newest: owner.newest.hash },
    { subject: bindingSubject(member), newest: binding.hash },
    ...(delegation === undefined
      ? []
      : [{ subject: delegationSubject(delegation.statement), newest: delegation.hash }]),
  ];
}

function lineOf({ statement }: Verified<Delegation>): string {
  return ed25519Line(statement.key);
}

/** Whether a delegation was given for that binding. Who signed either is not looked at. */
export function mayMake(delegation: Delegation, binding: Binding): boolean {
  return (
    delegation.name === binding.name &&
    delegation.role === binding.role &&
    isOfPattern(binding.member, delegation.pattern) &&
    binding.seq === 1 &&
    binding.prev === null &&
    (delegation.expires === null || binding.issued < delegation.expires) &&
    (binding.role === "device" || endsInTime(binding))
  );
}

/** A client's binding lasts a year at most, whoever signs for it without being asked. */
function endsInTime({ issued, expires }: Binding): boolean {
  return expires !== null && expires <= issued + CLIENT_BINDING_MS;
}

/** @throws {SecurityError} E_STATEMENT when a delegation may not make that binding. */
export function refuseBeyond(delegation: Delegation, binding: Binding): void {
  if (mayMake(delegation, binding)) return;
  throw new SecurityError(
    "E_STATEMENT",
    `A fleet token made a binding of ${binding.member} of ${binding.name} that it was not given for.`,
  );
}

function another({ name, member }: { readonly name: Name; readonly member: MemberName }): SecurityError {
  return new SecurityError("E_STATEMENT", `A statement on another member was given for ${member} of ${name}.`);
}

type Party = { readonly name: Name; readonly member: MemberName };

function revoked({ name, member }: Party, reason: string): DeniedError {
  return new DeniedError("E_REVOKED", `${member} of ${name} is revoked by its owner.${wordsOf(reason)}`, {
    next: `The owner of ${name} can take that back: sshnp-keys unrevoke ${name} ${member}`,
  });
}

function revokedToken({ name, member }: Party, reason: string): DeniedError {
  const fact = `The fleet token that made ${member} of ${name} is revoked by its owner.`;
  return new DeniedError("E_REVOKED", `${fact}${wordsOf(reason)}`, {
    next: `The owner of ${name} makes another one, or enrols the machine himself: sshnp-keys list ${name}`,
  });
}

function wordsOf(reason: string): string {
  return reason === "" ? "" : ` The owner says: ${quoted(reason)}.`;
}
