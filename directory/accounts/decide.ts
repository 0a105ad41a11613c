import { hex, utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { ed25519FromLine, ed25519Line } from "../../keys/openssh.ts";
import { assert, SecurityError, SetupError } from "../../keys/errors.ts";
import { isName, type MemberName, type Name } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { parseSshsig } from "../../keys/sshsig.ts";
import type { X25519PublicKey } from "../../keys/x25519.ts";
import { FRESHNESS_MS } from "../../protocol/limits.ts";
import { refuseBeyond } from "../../protocol/member-statements.ts";
import { verifyChainOf, verifyRotation } from "../../protocol/owner-chain.ts";
import {
  type Delegation,
  delegationSubject,
  policySubject,
  verifyDelegation,
  verifyPolicyStatement,
  verifyRevocation,
} from "../../protocol/owner-statements.ts";
import type { RefusalCode } from "../../protocol/refusal-codes.ts";
import {
  isExpired,
  kindOf,
  seqOf,
  type StatementFields,
  type StatementKind,
  type Verified,
} from "../../protocol/statement-fields.ts";
import { type Binding, bindingSubject, verifyBinding } from "../../protocol/statements.ts";
import type { DelegationRecord, MemberRecord, NameRecord } from "../records.ts";
import type { Draft } from "./draft.ts";

/** Who sends statements, and when (ms). */
export interface Sending {
  /** Static key of whoever sealed the message. */
  readonly sender: X25519PublicKey;
  /** Whether the holder of both keys of this binding has asked to be bound by it. */
  readonly hasAsked: (binding: Binding) => Promise<boolean>;
  readonly now: number;
}

/** Why a statement is not taken. */
export class NotTaken extends Error {
  readonly code: RefusalCode;

  constructor(code: RefusalCode) {
    super(code);
    this.code = code;
  }
}

/** The name that a statement says it is of, before anything is verified; undefined when it does not begin like one. */
export function nameOfStatement({ text }: SignedText): Name | undefined {
  const [, name] = /^\{"v":1,"kind":"[a-z]{4,10}","subject":"(@[a-z0-9-]{1,32})["/:]/.exec(text) ?? [];
  return name !== undefined && isName(name) ? name : undefined;
}

/**
 * Takes one owner-signed statement into the draft and gives its subject; the newest one again changes nothing.
 * It must follow the newest on its subject, and be signed by the owner of now, or by a delegation of his that counts.
 * @throws {NotTaken} with the code that goes back; {SecurityError}, {PeerError} when it does not hold.
 */
export async function takeStatement(
  suite: CipherSuite,
  draft: Draft,
  signed: SignedText,
  sending: Sending,
): Promise<string> {
  const name = nameOfStatement(signed);
  const take = TAKERS[kindOf(signed) ?? "name"];
  if (name === undefined || take === undefined) throw new NotTaken("E_PROTOCOL");
  const record = await draft.name(name);
  // A name that is unknown is answered as one that somebody else owns.
  if (record === undefined || record.statements.length === 0) throw new NotTaken("E_NOT_AUTHORIZED");
  const { owner } = verifyChainOf(suite, name, record.statements);
  return await take({ suite, draft, name, record, owner, signed, sending });
}

interface Case {
  readonly suite: CipherSuite;
  readonly draft: Draft;
  readonly name: Name;
  readonly record: NameRecord;
  /** The owner key of now. */
  readonly owner: string;
  readonly signed: SignedText;
  readonly sending: Sending;
}

type Take = (one: Case) => Promise<string>;

const TAKERS: Partial<Record<StatementKind, Take>> = {
  rotation: takeRotation,
  binding: takeBinding,
  revocation: takeRevocation,
  delegation: takeDelegation,
  policy: takePolicy,
};

async function takeRotation({ suite, draft, name, record, owner, signed, sending }: Case): Promise<string> {
  const newest = record.statements.at(-1);
  if (newest?.text === signed.text) return name;
  const said = verifyRotation(suite, signed);
  if (said.signer !== owner) throw new NotTaken("E_NOT_AUTHORIZED");
  const { former } = verifyChainOf(suite, name, record.statements);
  if (former.includes(said.statement.owner)) throw new NotTaken("E_OWNER_KEY");
  demandNext(suite, said, newest, sending.now);
  draft.addToName(name, record, said);
  return name;
}

async function takeBinding(one: Case): Promise<string> {
  const { suite, draft, signed, sending } = one;
  const { binding, delegation } = await verifiedBinding(one);
  const { statement } = binding;
  const subject = bindingSubject(statement);
  const before = await draft.member(statement);
  if (before?.newest.text === signed.text) return subject;
  if (before === undefined && statement.seq !== 1) throw new NotTaken("E_STATEMENT");
  if (before !== undefined && statement.seq === 1) throw new NotTaken("E_MEMBER_TAKEN");
  if (before !== undefined && before.role !== statement.role) throw new NotTaken("E_MEMBER_TAKEN");
  demandNext(suite, binding, before?.newest, sending.now);
  await demandKeys(draft, statement, before, sending);
  if (delegation !== undefined) countUse(draft, delegation);
  const { role, x25519, ed25519, expires } = statement;
  const keys = { role, x25519, ed25519, expires, binding: signed, newest: signed };
  draft.putMember(statement, { ...keys, delegation: delegation?.statement.id }, binding);
  return subject;
}

/** Keys are of one member, for ever, and whoever is bound by them must hold them. */
async function demandKeys(
  draft: Draft,
  statement: Binding,
  before: MemberRecord | undefined,
  { sender, hasAsked }: Sending,
): Promise<void> {
  const areKnown = before?.x25519.equals(statement.x25519) === true && before.ed25519.equals(statement.ed25519);
  if (areKnown) return;
  if (!statement.x25519.equals(sender) && !(await hasAsked(statement))) throw new NotTaken("E_NOT_AUTHORIZED");
  const subject = bindingSubject(statement);
  for (const key of [statement.x25519, statement.ed25519]) {
    const holder = await draft.keyHolder(key);
    if (holder !== undefined && holder !== subject) throw new NotTaken("E_MEMBER_KEY");
  }
}

interface Delegated {
  readonly statement: Delegation;
  readonly record: DelegationRecord;
}

async function verifiedBinding({
  suite,
  draft,
  name,
  owner,
  signed,
  sending,
}: Case): Promise<{ readonly binding: Verified<Binding>; readonly delegation: Delegated | undefined }> {
  const { publicKey } = parseSshsig(signed.signature);
  if (publicKey.line === owner) return { binding: verifyBinding(suite, signed, owner), delegation: undefined };
  const delegation = await delegationOf(publicKey.line, { suite, draft, name, owner });
  if (delegation === undefined) throw new NotTaken("E_NOT_AUTHORIZED");
  const binding = verifyBinding(suite, signed, publicKey.line);
  if (!isWithin(delegation.statement, binding.statement) || isExpired(delegation.statement, sending.now))
    throw new NotTaken("E_TOKEN");
  return { binding, delegation };
}

function isWithin(delegation: Delegation, binding: Binding): boolean {
  try {
    refuseBeyond(delegation, binding);
    return true;
  } catch (error) {
    if (error instanceof SecurityError) return false;
    throw error;
  }
}

/** The delegation of that key, if it is one of this name's, counts, and has no other key by now. @throws {NotTaken} E_REVOKED. */
async function delegationOf(
  line: string,
  { suite, draft, name, owner }: Pick<Case, "suite" | "draft" | "name" | "owner">,
): Promise<Delegated | undefined> {
  const holder = await draft.keyHolder(ed25519FromLine(line));
  const [of, id] = holder?.split(":delegation:") ?? [];
  if (of !== name || id === undefined) return undefined;
  const record = await draft.delegation(name, id);
  assert(record !== undefined, "a delegation's key has its delegation");
  if (record.newest.text !== record.delegation.text) throw new NotTaken("E_REVOKED");
  const { statement } = verifyDelegation(suite, record.delegation, owner);
  return ed25519Line(statement.key) === line ? { statement, record } : undefined;
}

function countUse(draft: Draft, { statement, record }: Delegated): void {
  if (record.made >= statement.uses) throw new NotTaken("E_TOKEN");
  draft.countDelegation(statement, { ...record, made: record.made + 1 });
}

async function takeRevocation(one: Case): Promise<string> {
  const { suite, draft, name, owner, signed, sending } = one;
  const said = verifyRevocation(suite, signed, owner);
  const { subject } = said.statement;
  const [, member] = subject.split("/");
  if (member === undefined) return await revokeDelegation(one, said);
  const party = { name, member: member as MemberName };
  const before = await draft.member(party);
  if (before === undefined) throw new NotTaken("E_UNKNOWN_NAME");
  if (before.newest.text === signed.text) return subject;
  demandNext(suite, said, before.newest, sending.now);
  draft.putMember(party, { ...before, newest: signed }, said);
  return subject;
}

async function revokeDelegation(
  { suite, draft, name, signed, sending }: Case,
  said: Verified<StatementFields & { readonly subject: string }>,
): Promise<string> {
  const { subject } = said.statement;
  const id = subject.slice(delegationSubject({ name, id: "" }).length);
  const before = await draft.delegation(name, id);
  if (before === undefined) throw new NotTaken("E_UNKNOWN_NAME");
  if (before.newest.text === signed.text) return subject;
  demandNext(suite, said, before.newest, sending.now);
  // Whichever owner signed it; it was verified when it came.
  const signer = parseSshsig(before.delegation.signature).publicKey.line;
  const { key } = verifyDelegation(suite, before.delegation, signer).statement;
  draft.putDelegation({ name, id }, key, { ...before, newest: signed }, said);
  return subject;
}

async function takeDelegation({ suite, draft, owner, signed, sending }: Case): Promise<string> {
  const said = verifyDelegation(suite, signed, owner);
  const { statement } = said;
  const subject = delegationSubject(statement);
  const before = await draft.delegation(statement.name, statement.id);
  if (before?.newest.text === signed.text) return subject;
  const holder = await draft.keyHolder(statement.key);
  if (holder !== undefined && holder !== subject) throw new NotTaken("E_MEMBER_KEY");
  demandNext(suite, said, before?.newest, sending.now);
  const made = before?.made ?? 0;
  draft.putDelegation(statement, statement.key, { delegation: signed, newest: signed, made }, said);
  return subject;
}

async function takePolicy({ suite, draft, name, owner, signed, sending }: Case): Promise<string> {
  const said = verifyPolicyStatement(suite, signed, owner);
  const before = await draft.policy(name);
  if (before?.text !== signed.text) {
    demandNext(suite, said, before, sending.now);
    await demandGoodPolicy(said.statement.policy);
    draft.putPolicy(name, said);
  }
  return policySubject(name);
}

/** That a policy can be read everywhere and does what its own tests expect. @throws {NotTaken} E_POLICY. */
async function demandGoodPolicy(text: string): Promise<void> {
  const [{ parsePolicy }, { refuseFailedTests }] = await Promise.all([
    import("../../protocol/policy/parse.ts"),
    import("../../protocol/policy/policy-tests.ts"),
  ]);
  try {
    refuseFailedTests(parsePolicy(text, { unknownZones: "refuse" }));
  } catch (error) {
    if (error instanceof SetupError) throw new NotTaken("E_POLICY");
    throw error;
  }
}

/** That a statement stands right after the newest on its subject, and is good now. */
function demandNext(
  suite: CipherSuite,
  { statement }: Verified<StatementFields>,
  newest: SignedText | undefined,
  now: number,
): void {
  const seq = newest === undefined ? 1 : seqOf(newest) + 1;
  const prev = newest === undefined ? null : hex(suite.sha256(utf8(newest.text)));
  if (statement.seq !== seq || statement.prev !== prev) throw new NotTaken("E_STATEMENT");
  // How long ago it was issued does not matter: whose answer was lost sends the same text again, perhaps days later.
  if (statement.issued > now + FRESHNESS_MS || isExpired(statement, now)) throw new NotTaken("E_STATEMENT");
}
