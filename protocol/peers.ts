import { equalBytes } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { MemberPin, OwnerPin, PeerPins } from "../keys/peer.ts";
import { type SignedText, signedTextFromJson, signedTextToJson } from "../keys/signed-text.ts";
import { isExpired, type Verified } from "./statement-fields.ts";
import { type Binding, type NameStatement, verifyBinding, verifyNameStatement } from "./statements.ts";

/** What somebody, believed by nobody, says of a peer. */
export interface PeerClaim {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly nameStatement: SignedText;
  readonly binding: SignedText;
}

export interface JudgedOwner {
  readonly ownerFingerprint: Fingerprint;
  /** Whether nothing but the directory's word says that this owner is the right one. */
  readonly firstContact: boolean;
  /** What to remember of the name. */
  readonly owner: OwnerPin;
}

export interface JudgedPeer extends Omit<JudgedOwner, "owner"> {
  readonly binding: Verified<Binding>;
  /** What to remember once the peer has proved itself in a handshake. */
  readonly pins: { readonly owner: OwnerPin; readonly member: MemberPin };
}

/**
 * Judges who speaks for a peer. The owner key must be the one given, else the pinned one, else it is a first contact;
 * the owner must have signed the binding; and the binding must not be older than the newest one seen of this owner.
 *
 * `known` is what this machine remembers of the peer, `given` the fingerprint a person gave; `now` in ms.
 * @throws {SecurityError} E_OWNER_KEY, E_MEMBER_KEY or E_STATEMENT; {PeerError} E_PROTOCOL.
 */
export function judgePeer(
  suite: CipherSuite,
  claim: PeerClaim,
  { known, given }: { readonly known: PeerPins; readonly given: Fingerprint | undefined },
  now: number,
): JudgedPeer {
  const { owner, ...judged } = judgeOwner(suite, claim.name, claim.nameStatement, { known: known.owner, given }, now);
  const binding = verifyBinding(suite, claim.binding, owner.owner);
  const { statement } = binding;
  if (statement.name !== claim.name || statement.member !== claim.member || statement.role !== claim.role) {
    throw new SecurityError(
      "E_STATEMENT",
      `A binding of another member was given for ${claim.member} of ${claim.name}.`,
    );
  }
  if (isExpired(statement, now)) {
    throw new SecurityError("E_STATEMENT", `The binding of ${claim.member} of ${claim.name} has expired.`);
  }
  if (known.member?.owner === owner.owner) refuseOlderBinding(suite, binding, known.member);
  const member: MemberPin = {
    v: 1,
    name: claim.name,
    member: claim.member,
    owner: owner.owner,
    binding: signedTextToJson(binding.signed),
    // SSH host keys are the machine's own, whoever owns its name.
    hostKeys: known.member?.hostKeys ?? [],
    accepted: known.member?.accepted ?? [],
  };
  return { ...judged, binding, pins: { owner, member } };
}

/**
 * Judges a name's owner key alone; what {@link judgePeer} does first, and what a daemon does for `-m @client`.
 * @throws {SecurityError} E_OWNER_KEY when it is another key than the given or pinned one; E_STATEMENT.
 */
export function judgeOwner(
  suite: CipherSuite,
  name: Name,
  nameStatement: SignedText,
  { known, given }: { readonly known: OwnerPin | undefined; readonly given: Fingerprint | undefined },
  now: number,
): JudgedOwner {
  const verified = verifyNameStatement(suite, nameStatement);
  const { statement, signed } = verified;
  if (statement.name !== name)
    throw new SecurityError("E_STATEMENT", `Another name's statement was given for ${name}.`);
  if (isExpired(statement, now)) throw new SecurityError("E_STATEMENT", `The statement of ${name} has expired.`);
  const ownerFingerprint = fingerprint(suite, parsePublicKeyLine(statement.owner).blob);
  const fresh: OwnerPin = {
    v: 1,
    name,
    owner: statement.owner,
    origin: given === undefined ? "first contact" : "given",
    since: now,
    statement: signedTextToJson(signed),
    accepted: [],
  };
  const pinned = known?.owner === statement.owner ? withNewest(suite, known, verified) : undefined;
  if (given !== undefined) {
    if (given !== ownerFingerprint) throw changedOwner(name, given, ownerFingerprint, "given");
    const owner = pinned === undefined ? fresh : { ...pinned, origin: fresh.origin };
    return { ownerFingerprint, firstContact: false, owner };
  }
  if (known === undefined) return { ownerFingerprint, firstContact: true, owner: fresh };
  if (pinned !== undefined) return { ownerFingerprint, firstContact: false, owner: pinned };
  if (known.accepted.includes(ownerFingerprint)) {
    return { ownerFingerprint, firstContact: false, owner: { ...fresh, origin: "accepted" } };
  }
  throw changedOwner(name, fingerprint(suite, parsePublicKeyLine(known.owner).blob), ownerFingerprint, "pinned");
}

/** The pin with the newer of two statements of its owner. */
function withNewest(suite: CipherSuite, pin: OwnerPin, { statement, signed }: Verified<NameStatement>): OwnerPin {
  if (pin.statement.text === signed.text) return pin;
  const { seq } = verifyNameStatement(suite, signedTextFromJson(pin.statement)).statement;
  return statement.seq > seq ? { ...pin, statement: signedTextToJson(signed) } : pin;
}

function refuseOlderBinding(suite: CipherSuite, binding: Verified<Binding>, pin: MemberPin): void {
  const newest = verifyBinding(suite, signedTextFromJson(pin.binding), pin.owner);
  const { seq } = binding.statement;
  if (seq > newest.statement.seq || equalBytes(binding.hash, newest.hash)) return;
  throw new SecurityError(
    "E_MEMBER_KEY",
    `An older or second binding (number ${seq}) of ${pin.member} was given; number ${newest.statement.seq} was seen before.`,
    { next: "Do not go on: whoever runs the directory gives out statements that its owner has replaced." },
  );
}

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
