import { hex, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { ed25519Line } from "../keys/openssh.ts";
import type { SignedText } from "../keys/signed-text.ts";
import { verifySshsig } from "../keys/sshsig.ts";
import { mayMake } from "./member-statements.ts";
import { type OwnerChain, verifyChainOf } from "./owner-chain.ts";
import {
  type Delegation,
  type PolicyStatement,
  policySubject,
  type Revocation,
  verifyDelegation,
  verifyPolicyStatement,
  verifyRevocation,
} from "./owner-statements.ts";
import {
  after,
  isExpired,
  kindOf,
  namespaceOf,
  seqOf,
  type StatementFields,
  type StatementKind,
  subjectOf,
  type Verified,
} from "./statement-fields.ts";
import { type Binding, bindingSubject, verifyBinding } from "./statements.ts";

/** One statement of the past, which its signer has made. */
export interface Past {
  readonly subject: string;
  readonly kind: StatementKind;
  readonly seq: number;
  /** Who signed, as an OpenSSH public key line. */
  readonly signer: string;
  readonly signed: SignedText;
  /** SHA-256 of the text. */
  readonly hash: Uint8Array;
}

/**
 * `active`: counts. `revoked`: its owner said so. `expired`: past its own end. `orphaned`: neither the owner of now nor a
 * delegation of his that counts answers for it.
 */
export type Condition = "active" | "revoked" | "expired" | "orphaned";

export interface MemberAccount {
  readonly member: MemberName;
  readonly condition: Condition;
  /** The newest binding, without those that a delegation was not given for; one of these only where there is no other. */
  readonly binding: Verified<Binding>;
  /** The newest statement: the binding, or the revocation after it. */
  readonly newest: Past;
  readonly revocation: Verified<Revocation> | undefined;
  /** ID of the delegation that made the binding, and was given for it. */
  readonly delegation: string | undefined;
}

export interface DelegationAccount {
  readonly delegation: Verified<Delegation>;
  readonly condition: Condition;
  readonly newest: Past;
}

export interface PolicyAccount {
  /** The last one by the owner of now; or, where he has signed none, by the owner before him who has. */
  readonly policy: Verified<PolicyStatement>;
  /** Who signed that, as an OpenSSH public key line. */
  readonly signer: string;
  /** The newest statement: that policy, or one that a former owner has signed behind it. */
  readonly newest: Past;
  /** `active`: it is the newest, and by the owner of now. Else no device has a policy that counts, and none lets anybody in. */
  readonly condition: "active" | "orphaned";
}

/** All that stands about a name, verified from its first statement to the newest of each subject. */
export interface NameAccount {
  readonly name: Name;
  readonly chain: OwnerChain;
  readonly members: readonly MemberAccount[];
  readonly delegations: readonly DelegationAccount[];
  readonly policy: PolicyAccount | undefined;
  /** In the order in which they were issued. */
  readonly history: readonly Past[];
}

/**
 * Puts together what the directory gave: `newest`, which the log has proved to be the newest of their subjects, and
 * `history`. Each subject's statements must follow each other up to the newest, and each must be signed by one who spoke for
 * the name, or by a delegation of it. `now` in ms.
 * @throws {SecurityError} E_STATEMENT when they do not; {PeerError} E_PROTOCOL when one does not parse.
 */
export function judgeNameAccount(
  suite: CipherSuite,
  name: Name,
  given: { readonly newest: readonly SignedText[]; readonly history: readonly SignedText[] },
  now: number,
): NameAccount {
  const subjects = new Map<string, Past[]>();
  for (const signed of given.history) {
    const past = pastOf(suite, signed);
    const before = subjects.get(past.subject);
    demandNext(before?.at(-1), past);
    if (before === undefined) subjects.set(past.subject, [past]);
    else before.push(past);
  }
  const proved = new Set<string>();
  for (const { text } of given.newest) {
    const subject = subjectOf({ text });
    if (proved.has(subject) || subjects.get(subject)?.at(-1)?.signed.text !== text) throw incomplete(subject);
    proved.add(subject);
  }
  // One that is named twice would stand in the place of another, whose newest statement could then be left out.
  if (proved.size !== subjects.size) throw incomplete(name);
  const chain = verifyChainOf(
    suite,
    name,
    (subjects.get(name) ?? []).map(({ signed }) => signed),
  );
  const delegations = [...subjects.values()].flatMap((pasts) => delegationOf(suite, chain, pasts, now));
  const history = [...subjects.values()].flat().sort((a, b) => issuedOf(a) - issuedOf(b));
  const owners = new Set([chain.owner, ...chain.former]);
  const keyed = delegations.map((one) => [ed25519Line(one.delegation.statement.key), one] as const);
  const makers = new Map(keyed.filter(([line]) => !owners.has(line)));
  demandSigners(owners, makers, history);
  const members = [...subjects.values()].flatMap((pasts) => memberOf(suite, { name, chain, makers }, pasts, now));
  return {
    ...{ name, chain, members, delegations },
    policy: policyOf(suite, chain, subjects.get(policySubject(name)) ?? []),
    history,
  };
}

/** Where the statement after `newest` on the same subject stands. */
export function successionOf({ seq, hash }: Pick<Past, "seq" | "hash">): Pick<StatementFields, "seq" | "prev"> {
  return after({ statement: { seq }, hash });
}

/** When a statement says that it was issued, ms. */
export function issuedOf({ signed }: Pick<Past, "signed">): number {
  return Number(/,"issued":([0-9]+),/.exec(signed.text)?.[1] ?? 0);
}

function pastOf(suite: CipherSuite, signed: SignedText): Past {
  const kind = kindOf(signed);
  if (kind === undefined) throw new SecurityError("E_STATEMENT", "The directory gives something that is no statement.");
  const bytes = utf8(signed.text);
  const signer = verifySshsig(suite, signed.signature, namespaceOf(kind), bytes);
  return { subject: subjectOf(signed), kind, seq: seqOf(signed), signer, signed, hash: suite.sha256(bytes) };
}

function demandNext(before: Past | undefined, { subject, seq, signed }: Past): void {
  const prev = before === undefined ? null : hex(before.hash);
  const isNext = seq === (before?.seq ?? 0) + 1 && signed.text.includes(`"prev":${JSON.stringify(prev)},`);
  if (!isNext) throw new SecurityError("E_STATEMENT", `The statements on ${subject} do not follow each other.`);
}

function incomplete(subject: string): SecurityError {
  return new SecurityError("E_STATEMENT", `The directory does not give all statements on ${subject}.`);
}

/** Delegations by their key, an OpenSSH public key line, which is no owner's. */
type Makers = ReadonlyMap<string, DelegationAccount>;

/** Whoever signed was an owner of the name, or was delegated to. */
function demandSigners(owners: ReadonlySet<string>, makers: Makers, pasts: readonly Past[]): void {
  for (const { kind, signer, subject } of pasts) {
    if (owners.has(signer) || (kind === "binding" && makers.has(signer))) continue;
    throw new SecurityError("E_STATEMENT", `A statement on ${subject} is signed by a stranger.`, {
      next: "The directory has taken what it must not take. Trust nothing new from it until that is clear.",
    });
  }
}

function delegationOf(suite: CipherSuite, chain: OwnerChain, pasts: readonly Past[], now: number): DelegationAccount[] {
  const newest = pasts.at(-1);
  const last = pasts.findLast(({ kind }) => kind === "delegation");
  if (newest === undefined || last === undefined) return [];
  const delegation = verifyDelegation(suite, last.signed, last.signer);
  const condition = conditionOf(newest, delegation.statement, newest.signer === chain.owner, now);
  return [{ delegation, condition, newest }];
}

function memberOf(
  suite: CipherSuite,
  { name, chain, makers }: Pick<NameAccount, "name" | "chain"> & { readonly makers: Makers },
  pasts: readonly Past[],
  now: number,
): MemberAccount[] {
  const newest = pasts.at(-1);
  const made = bindingOf(suite, makers, pasts);
  if (newest === undefined || made === undefined) return [];
  const { binding, by } = made;
  const { member } = binding.statement;
  if (newest.subject !== bindingSubject({ name, member })) throw incomplete(newest.subject);
  const isMade = newest.signed === binding.signed && (by?.condition === "active" || by?.condition === "expired");
  const isAnsweredFor = newest.signer === chain.owner || isMade;
  const revocation = newest.kind === "revocation" ? verifyRevocation(suite, newest.signed, newest.signer) : undefined;
  const condition = conditionOf(newest, binding.statement, isAnsweredFor, now);
  return [{ member, condition, binding, newest, revocation, delegation: by?.delegation.statement.id }];
}

/**
 * A member's binding, and the delegation that made it. What a fleet token made beyond what it was given for counts at no end,
 * whatever the directory has taken, so it does not take the place of the binding before.
 */
function bindingOf(
  suite: CipherSuite,
  makers: Makers,
  pasts: readonly Past[],
): { readonly binding: Verified<Binding>; readonly by: DelegationAccount | undefined } | undefined {
  let beyond: Verified<Binding> | undefined;
  for (const { kind, signed, signer } of pasts.toReversed()) {
    if (kind !== "binding") continue;
    const binding = verifyBinding(suite, signed, signer);
    const by = makers.get(signer);
    if (by === undefined || mayMake(by.delegation.statement, binding.statement)) return { binding, by };
    beyond ??= binding;
  }
  return beyond && { binding: beyond, by: undefined };
}

function policyOf(suite: CipherSuite, chain: OwnerChain, pasts: readonly Past[]): PolicyAccount | undefined {
  const newest = pasts.at(-1);
  const signer = [...chain.former, chain.owner].findLast((owner) => pasts.some((past) => past.signer === owner));
  const last = pasts.findLast((past) => past.signer === signer);
  if (newest === undefined || last === undefined) return undefined;
  const condition = newest.signer === chain.owner ? "active" : "orphaned";
  return { policy: verifyPolicyStatement(suite, last.signed, last.signer), signer: last.signer, newest, condition };
}

function conditionOf(newest: Past, statement: StatementFields, isAnsweredFor: boolean, now: number): Condition {
  if (newest.kind === "revocation") return "revoked";
  if (!isAnsweredFor) return "orphaned";
  return isExpired(statement, now) ? "expired" : "active";
}
