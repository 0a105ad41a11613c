import { equalBytes } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import type { MemberName, Name, Role } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parsePublicKeyBlob, parsePublicKeyLine } from "../keys/openssh.ts";
import type { PeerFile, PeerMember } from "../keys/peer.ts";
import { type SignedText, signedTextFromJson, signedTextToJson } from "../keys/signed-text.ts";
import { type Binding, isExpired, type Verified, verifyBinding, verifyNameStatement } from "./statements.ts";

/** What somebody, believed by nobody, says of a peer. */
export interface PeerClaim {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
  readonly nameStatement: SignedText;
  readonly binding: SignedText;
}

export interface JudgedPeer {
  readonly binding: Verified<Binding>;
  readonly ownerFingerprint: Fingerprint;
  /** Whether nothing but the directory's word says that this owner is the right one. */
  readonly firstContact: boolean;
  /** What to remember once the peer has proved itself in a handshake. */
  readonly peer: PeerFile;
}

/**
 * Judges who speaks for a peer. The owner key must be the one given, else the pinned one, else it is a first contact;
 * the owner must have signed the binding; and the binding must not be older than the newest one seen.
 *
 * `known` is what this machine remembers of the name, `given` the fingerprint a person gave; `now` in ms.
 * @throws {SecurityError} E_OWNER_KEY, E_MEMBER_KEY or E_STATEMENT; {PeerError} E_PROTOCOL.
 */
export function judgePeer(
  suite: CipherSuite,
  claim: PeerClaim,
  memory: { readonly known: PeerFile | undefined; readonly given: Fingerprint | undefined },
  now: number,
): JudgedPeer {
  const owner = judgeOwner(suite, claim.name, claim.nameStatement, memory, now);
  const binding = verifyBinding(suite, claim.binding, owner.peer.owner);
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
  refuseOlderBinding(suite, binding, memberOf(owner.peer, claim.member), owner.peer.owner);
  return { ...owner, binding, peer: withBinding(owner.peer, claim.member, binding) };
}

/**
 * Judges a name's owner key alone; what {@link judgePeer} does first, and what a daemon does for `-m @client`.
 * @throws {SecurityError} E_OWNER_KEY when it is another key than the given or pinned one.
 */
export function judgeOwner(
  suite: CipherSuite,
  name: Name,
  nameStatement: SignedText,
  { known, given }: { readonly known: PeerFile | undefined; readonly given: Fingerprint | undefined },
  now: number,
): Omit<JudgedPeer, "binding"> {
  const { statement, signed } = verifyNameStatement(suite, nameStatement);
  if (statement.name !== name)
    throw new SecurityError("E_STATEMENT", `Another name's statement was given for ${name}.`);
  const ownerFingerprint = fingerprint(suite, parsePublicKeyLine(statement.owner).blob);
  const fresh: PeerFile = {
    v: 1,
    name,
    owner: statement.owner,
    origin: given === undefined ? "first contact" : "given",
    since: now,
    statement: signedTextToJson(signed),
    members: [],
    accepted: [],
  };
  if (given !== undefined) {
    if (given !== ownerFingerprint) throw changedOwner(name, given, ownerFingerprint, "given");
    const peer = known?.owner === statement.owner ? { ...known, origin: fresh.origin } : fresh;
    return { ownerFingerprint, firstContact: false, peer };
  }
  if (known === undefined) return { ownerFingerprint, firstContact: true, peer: fresh };
  if (known.owner === statement.owner) return { ownerFingerprint, firstContact: false, peer: known };
  if (known.accepted.includes(ownerFingerprint)) {
    return { ownerFingerprint, firstContact: false, peer: { ...fresh, origin: "accepted" } };
  }
  throw changedOwner(name, fingerprint(suite, parsePublicKeyLine(known.owner).blob), ownerFingerprint, "pinned");
}

/**
 * Judges the SSH host keys that a device presents against those pinned, and returns what to pin from now on, as
 * OpenSSH public key lines. A key of a new type is added; a missing one is dropped; none in common, or another key of
 * a pinned type, is a change.
 * @throws {SecurityError} E_HOST_KEY with both fingerprints, unless the user accepted the new key.
 */
export function judgeHostKeys(
  suite: CipherSuite,
  host: string,
  peer: PeerFile,
  member: MemberName,
  presented: readonly Uint8Array[],
): { readonly lines: readonly string[]; readonly peer: PeerFile } {
  const keys = presented.map((blob) => parsePublicKeyBlob(blob));
  const lines = keys.map((key) => key.line);
  const remembered = memberOf(peer, member);
  const pinned = (remembered?.hostKeys ?? []).map((line) => parsePublicKeyLine(line));
  const changed = keys.find((key) => pinned.some((pin) => pin.type === key.type && pin.line !== key.line)) ?? keys[0];
  const keepsOne = pinned.length === 0 || pinned.some((pin) => lines.includes(pin.line));
  const replacesOne = keys.some((key) => pinned.some((pin) => pin.type === key.type && pin.line !== key.line));
  if (changed !== undefined && (!keepsOne || replacesOne)) {
    const now = fingerprint(suite, changed.blob);
    if (!keys.some((key) => peer.accepted.includes(fingerprint(suite, key.blob)))) {
      const before = pinned.find((pin) => pin.type === changed.type) ?? pinned[0] ?? changed;
      throw new SecurityError(
        "E_HOST_KEY",
        `HOST KEY CHANGED for ${host}. Pinned ${fingerprint(suite, before.blob)}, the device now presents ${now}. Not connecting.`,
        {
          next: `Installed anew? Compare on the device: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub, then: sshnp trust accept ${host} ${now}. Not expected? Stop, and tell whoever answers for the device.`,
        },
      );
    }
  }
  const presentedFingerprints: readonly string[] = keys.map((key) => fingerprint(suite, key.blob));
  return {
    lines,
    peer: {
      ...peer,
      accepted: peer.accepted.filter((text) => !presentedFingerprints.includes(text)),
      members: peer.members.map((entry) => (entry.member === member ? { ...entry, hostKeys: lines } : entry)),
    },
  };
}

/** What is remembered of one member. */
export function memberOf(peer: PeerFile | undefined, member: MemberName): PeerMember | undefined {
  return peer?.members.find((entry) => entry.member === member);
}

function withBinding(peer: PeerFile, member: MemberName, binding: Verified<Binding>): PeerFile {
  const entry: PeerMember = {
    member,
    binding: signedTextToJson(binding.signed),
    hostKeys: memberOf(peer, member)?.hostKeys ?? [],
  };
  return { ...peer, members: [...peer.members.filter((other) => other.member !== member), entry] };
}

function refuseOlderBinding(
  suite: CipherSuite,
  binding: Verified<Binding>,
  remembered: PeerMember | undefined,
  owner: string,
): void {
  if (remembered === undefined) return;
  const newest = verifyBinding(suite, signedTextFromJson(remembered.binding), owner);
  const { seq } = binding.statement;
  if (seq > newest.statement.seq || equalBytes(binding.hash, newest.hash)) return;
  throw new SecurityError(
    "E_MEMBER_KEY",
    `An older or second binding (number ${seq}) of ${remembered.member} was given; number ${newest.statement.seq} was seen before.`,
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
