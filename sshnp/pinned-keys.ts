import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SetupError, SshnpError } from "../keys/errors.ts";
import { memberFingerprints } from "../keys/member-fingerprints.ts";
import { hostName, type MemberName, type Name } from "../keys/names.ts";
import { type Fingerprint, fingerprint, parseFingerprint, parsePublicKeyLine } from "../keys/openssh.ts";
import type { MemberPin, OwnerPin, PinOrigin } from "../keys/peer.ts";
import { readPins, type Subject } from "../keys/peer-files.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { signedTextFromJson } from "../keys/signed-text.ts";
import { readKeptBinding } from "../protocol/kept-binding.ts";

/** One key that this machine holds a peer to, ready to be shown: nothing in it is text that others chose. */
export interface PinnedKey {
  readonly name: Name;
  /** The host name of the member whose key it is; undefined for a key of the name itself. */
  readonly host: string | undefined;
  /** `owner`; `noise` and `signing`: a member's own keys; the type of an SSH host key; `accepted`: let in when it comes. */
  readonly what: string;
  readonly fingerprint: Fingerprint;
  /** How and since when (ms since 1970 UTC) it is believed; both are kept for owner keys alone. */
  readonly origin: PinOrigin | undefined;
  readonly since: number | undefined;
}

/**
 * What is pinned of a name alone, or of one member alone; nothing when it is not pinned.
 * @throws {SetupError} E_BAD_KEY_FILE when the pin is damaged; as readPins.
 */
export async function readPinnedKeys(suite: CipherSuite, keys: PrivateFolder, subject: Subject): Promise<PinnedKey[]> {
  const { owner, member } = await readPins(keys, subject);
  const own = subject.member === undefined ? owner : member;
  if (own !== undefined && own.name !== subject.name) throw damaged(subject);
  try {
    if (subject.member === undefined) return owner === undefined ? [] : ownerKeys(suite, subject.name, owner);
    return member === undefined ? [] : memberKeys(suite, { name: subject.name, member: subject.member }, member);
  } catch (error) {
    throw error instanceof SshnpError ? damaged(subject) : error;
  }
}

function ownerKeys(suite: CipherSuite, name: Name, { owner, origin, since, accepted }: OwnerPin): PinnedKey[] {
  const who = { name, host: undefined };
  return [{ ...who, what: "owner", fingerprint: ofLine(suite, owner), origin, since }, ...acceptedKeys(who, accepted)];
}

function memberKeys(
  suite: CipherSuite,
  of: { readonly name: Name; readonly member: MemberName },
  { binding, hostKeys, accepted }: MemberPin,
): PinnedKey[] {
  const who = { name: of.name, host: hostName(of) };
  const { noise, signing } = memberFingerprints(suite, readKeptBinding(suite, of, signedTextFromJson(binding)));
  const own = [
    { what: "noise", fingerprint: noise },
    { what: "signing", fingerprint: signing },
    ...hostKeys.map((line) => ({ what: parsePublicKeyLine(line).type, fingerprint: ofLine(suite, line) })),
  ];
  return [...own.map((key) => ({ ...who, ...key, ...UNDATED })), ...acceptedKeys(who, accepted)];
}

type Who = Pick<PinnedKey, "name" | "host">;

function acceptedKeys(who: Who, accepted: readonly string[]): PinnedKey[] {
  return accepted.map((text) => ({ ...who, what: "accepted", fingerprint: parseFingerprint(text), ...UNDATED }));
}

function ofLine(suite: CipherSuite, line: string): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(line).blob);
}

function damaged({ name, member }: Subject): SetupError {
  const who = member === undefined ? name : hostName({ name, member });
  return new SetupError("E_BAD_KEY_FILE", `What is pinned for ${who} is damaged.`, {
    next: `Restore state/ of the keys folder from a backup, or forget all of ${name}: sshnp trust forget ${name}`,
  });
}

const UNDATED = { origin: undefined, since: undefined };
