import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { MemberPin, OwnerPin, PeerPins, SeenRevocation } from "../keys/peer.ts";
import { type SignedText, signedTextToJson } from "../keys/signed-text.ts";
import { parseSshsig } from "../keys/sshsig.ts";
import { FORMER_OWNERS } from "./limits.ts";
import { type MemberStatements, newestOf, verifyMemberStatements } from "./member-statements.ts";
import { type OwnerChain, verifyChainOf } from "./owner-chain.ts";
import { isExpired, kindOf, seqOf, type Verified } from "./statement-fields.ts";
import type { Binding } from "./statements.ts";

/** What somebody, believed by nobody, says of a peer. */
export interface PeerClaim {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly statements: MemberStatements;
}

export interface JudgedOwner {
  readonly ownerFingerprint: Fingerprint;
  /** Whether nothing but the directory's word says that this owner is the right one. */
  readonly firstContact: boolean;
  /** Fingerprint of the owner key known until now, when that one handed the name on to this one. */
  readonly rotatedFrom: Fingerprint | undefined;
  /** What to remember of the name. */
  readonly owner: OwnerPin;
  readonly chain: OwnerChain;
}

export interface JudgedPeer extends Omit<JudgedOwner, "owner" | "chain"> {
  readonly binding: Verified<Binding>;
  /** What the log must say is the newest on each subject, in the order of the proofs. */
  readonly newest: ReturnType<typeof newestOf>;
  /** What to remember once the peer has proved itself in a handshake. */
  readonly pins: { readonly owner: OwnerPin; readonly member: MemberPin };
}

/**
 * Judges who speaks for a peer. The owner key must be the one given, else the pinned one, or handed on by it, else it is a
 * first contact; the owner, or a delegation of his, must have signed the binding; and the binding must be the newest one seen
 * or newer, and newer than a revocation seen, whichever owner signed those, unless a person has put another owner in his place
 * since. Whether all of it is the newest that there is, the log says, of what `newest` lists.
 *
 * `known` is what this machine remembers of the peer, `given` the fingerprint a person gave; `now` in ms.
 * @throws {SecurityError} E_OWNER_KEY, E_MEMBER_KEY or E_STATEMENT; {DeniedError} E_REVOKED; {PeerError} E_PROTOCOL.
 */
export function judgePeer(
  suite: CipherSuite,
  claim: PeerClaim,
  { known, given }: { readonly known: PeerPins; readonly given: Fingerprint | undefined },
  now: number,
): JudgedPeer {
  const { owner, chain, ...judged } = judgeOwner(
    suite,
    claim.name,
    claim.statements.names,
    { known: known.owner, given },
    now,
  );
  const answered = verifyMemberStatements(suite, claim, chain, claim.statements);
  const { binding, delegation } = answered;
  if (binding.statement.role !== claim.role) {
    throw new SecurityError("E_STATEMENT", `${claim.member} of ${claim.name} is no ${claim.role}.`);
  }
  if (isExpired(binding.statement, now)) {
    throw new SecurityError("E_STATEMENT", `The binding of ${claim.member} of ${claim.name} has expired.`);
  }
  const isOfName = (line: string): boolean => isOfLine(suite, chain, known.owner, line);
  if (known.revoked !== undefined && isOfName(known.revoked.owner)) refuseRevokedBinding(binding, known.revoked);
  if (known.member !== undefined && isOfName(known.member.owner)) refuseOlderBinding(binding, known.member);
  const member: MemberPin = {
    v: 1,
    name: claim.name,
    member: claim.member,
    owner: owner.owner,
    binding: signedTextToJson(binding.signed),
    delegation: delegation === undefined ? null : signedTextToJson(delegation.signed),
    // SSH host keys are the machine's own, whoever owns its name.
    hostKeys: known.member?.hostKeys ?? [],
    accepted: known.member?.accepted ?? [],
  };
  return { ...judged, binding, newest: newestOf(claim, chain, answered), pins: { owner, member } };
}

/**
 * Judges a name's owner key alone; what {@link judgePeer} does first, and what a daemon does for `-m @client`. `names` is a
 * chain as {@link verifyChainOf} follows it.
 * @throws {SecurityError} E_OWNER_KEY when it is another key than the given or pinned one, and that one did not hand the name
 * on to it; when it is older than the newest seen; or when the chain has a key that is known to have handed the name on, and
 * not the pinned one, whatever is given; E_STATEMENT.
 */
export function judgeOwner(
  suite: CipherSuite,
  name: Name,
  names: readonly SignedText[],
  { known, given }: { readonly known: OwnerPin | undefined; readonly given: Fingerprint | undefined },
  now: number,
): JudgedOwner {
  const chain = verifyChainOf(suite, name, names);
  const { newest } = chain;
  if (isExpired(newest.statement, now)) {
    throw new SecurityError("E_STATEMENT", `The statement of ${name} has expired.`);
  }
  const ownerFingerprint = fingerprintOf(suite, chain.owner);
  if (known !== undefined) refuseOlderOwner(suite, known, chain);
  const fresh: OwnerPin = {
    v: 1,
    name,
    owner: chain.owner,
    origin: given === undefined ? "first contact" : "given",
    since: now,
    statement: signedTextToJson(newest.signed),
    accepted: [],
    former: formerOwners(suite, chain, { known, given }),
  };
  const judged = (owner: OwnerPin, rotatedFrom?: Fingerprint): JudgedOwner => {
    return {
      ownerFingerprint,
      firstContact: owner.origin === "first contact" && known === undefined,
      rotatedFrom,
      owner,
      chain,
    };
  };
  const rotated = (from: string): JudgedOwner => judged({ ...fresh, origin: "rotation" }, fingerprintOf(suite, from));
  const pinned =
    known?.owner === chain.owner ? { ...known, statement: fresh.statement, former: fresh.former } : undefined;
  if (given !== undefined) {
    if (given === ownerFingerprint) return judged(pinned === undefined ? fresh : { ...pinned, origin: "given" });
    const from = chain.former.find((line) => fingerprintOf(suite, line) === given);
    if (from === undefined) throw changedOwner(name, given, ownerFingerprint, "given");
    return rotated(from);
  }
  if (known === undefined) return judged(fresh);
  if (pinned !== undefined) return judged(pinned);
  if (chain.former.includes(known.owner)) return rotated(known.owner);
  if (known.accepted.includes(ownerFingerprint)) return judged({ ...fresh, origin: "accepted" });
  throw changedOwner(name, fingerprintOf(suite, known.owner), ownerFingerprint, "pinned");
}

/**
 * What to remember of statements of which a judgement has just found that the owner has revoked the member (E_REVOKED), or
 * the delegation that made it: then the binding is the first one, and none as old counts again.
 */
export function seenRevocation({ member, delegationRevocation }: MemberStatements): SeenRevocation {
  // Beside a member's revocation the judgement looks at nothing else.
  const revocation = kindOf(member) === "revocation" ? member : (delegationRevocation ?? member);
  return { seq: seqOf(member), owner: parseSshsig(revocation.signature).publicKey.line };
}

function fingerprintOf(suite: CipherSuite, line: string): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(line).blob);
}

/** Whether a key speaks or spoke for the name by this chain. */
function isOfChain({ owner, former }: OwnerChain, line: string): boolean {
  return owner === line || former.includes(line);
}

/**
 * Whether a key speaks or spoke for the name, by this chain or as the pin knows it: whoever gives a chain chooses where it
 * begins, so that it may leave out whom the pin has seen hand the name on.
 */
function isOfLine(suite: CipherSuite, chain: OwnerChain, pin: OwnerPin | undefined, line: string): boolean {
  if (isOfChain(chain, line)) return true;
  if (pin === undefined || !isOfChain(chain, pin.owner)) return false;
  return pin.former === undefined || pin.former.includes(fingerprintOf(suite, line));
}

/** The keys that have handed the name on, as far as the pin knows and this chain shows. */
function formerOwners(
  suite: CipherSuite,
  chain: OwnerChain,
  { known, given }: { readonly known: OwnerPin | undefined; readonly given: Fingerprint | undefined },
): readonly string[] {
  const shown = chain.former.map((line) => fingerprintOf(suite, line));
  const before = known !== undefined && isOfChain(chain, known.owner) ? known.former : undefined;
  const since = known === undefined ? -1 : chain.former.indexOf(known.owner);
  // Anybody can hand a name on to the pinned key, so those ahead of it must not push out the ones that are known.
  const passed = before && shown.filter((one, at) => one === given || (since >= 0 && at >= since));
  const former = new Set<string>([...(before ?? []), ...(passed ?? shown)]);
  former.delete(fingerprintOf(suite, chain.owner));
  return [...former].slice(-FORMER_OWNERS);
}

/** Nothing goes back to a statement that its owner has replaced, nor to a key of his that has handed the name on. */
function refuseOlderOwner(suite: CipherSuite, pin: OwnerPin, chain: OwnerChain): void {
  if (!isOfChain(chain, pin.owner)) {
    const owners = [chain.owner, ...chain.former].map((line) => fingerprintOf(suite, line));
    const back = owners.find((one) => pin.former?.includes(one));
    if (back === undefined) return; // another beginning altogether: another key, which is judged as such
    throw new SecurityError(
      "E_OWNER_KEY",
      `An owner key of ${pin.name} was given that has handed it on since, as was seen before: ${back}.`,
      { next: OLD_STATEMENTS },
    );
  }
  const { seq } = chain.newest.statement;
  const seen = seqOf(pin.statement);
  if (seq > seen || chain.newest.signed.text === pin.statement.text) return;
  throw new SecurityError(
    "E_OWNER_KEY",
    `An older or second statement (number ${seq}) of ${pin.name} was given; number ${seen} was seen before.`,
    { next: OLD_STATEMENTS },
  );
}

/** A binding from before a revocation that was seen does not count again, whatever the log says by then. */
function refuseRevokedBinding({ statement }: Verified<Binding>, revoked: SeenRevocation): void {
  if (statement.seq > revoked.seq) return;
  throw new SecurityError(
    "E_MEMBER_KEY",
    `A binding (number ${statement.seq}) of ${statement.member} was given that its owner has revoked since (number ${revoked.seq}).`,
    { next: OLD_STATEMENTS },
  );
}

function refuseOlderBinding({ statement, signed }: Verified<Binding>, pin: MemberPin): void {
  const seen = seqOf(pin.binding);
  if (statement.seq > seen || signed.text === pin.binding.text) return;
  throw new SecurityError(
    "E_MEMBER_KEY",
    `An older or second binding (number ${statement.seq}) of ${pin.member} was given; number ${seen} was seen before.`,
    { next: OLD_STATEMENTS },
  );
}

const OLD_STATEMENTS = "Do not go on: whoever runs the directory gives out statements that its owner has replaced.";

function changedOwner(name: Name, before: Fingerprint, now: Fingerprint, how: "given" | "pinned"): SecurityError {
  const next =
    how === "given"
      ? `Check the fingerprint that you gave with the owner of ${name}.`
      : `Do not go on unless the owner of ${name} confirms the new key to you, by another way. Then: sshnp trust accept ${name} ${now}`;
  return new SecurityError(
    "E_OWNER_KEY",
    `OWNER KEY CHANGED for ${name}. ${how === "given" ? "Given" : "Pinned"} ${before}, the directory now says ${now}.`,
    { next },
  );
}
