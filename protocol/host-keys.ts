import type { CipherSuite } from "../keys/cipher-suite.ts";
import { SecurityError } from "../keys/errors.ts";
import { parseHostName } from "../keys/names.ts";
import { fingerprint, type PublicKeyLine, parsePublicKeyBlob, parsePublicKeyLine } from "../keys/openssh.ts";
import type { MemberPin } from "../keys/peer.ts";

/**
 * Judges the SSH host keys that a device presents against those pinned, and returns the pin to keep from now on; its
 * host keys are those that ssh may meet.
 *
 * The first connect pins all of them. After that nothing is pinned but what the user accepted, key by key: presenting a
 * public key proves nothing, so a pinned key beside a new one says nothing for the new one. An accepted key takes the place
 * of those of its type. A new key of a type that is not pinned is left out, for ssh can go on with the pinned ones; and a
 * pinned key that is not presented stays, so that no other comes in its place.
 * @throws {SecurityError} E_HOST_KEY with all fingerprints and the way to accept, when a key of a pinned type is another
 * one, or when not one key is pinned or accepted.
 */
export function judgeHostKeys(
  suite: CipherSuite,
  host: string,
  pin: MemberPin,
  presented: readonly Uint8Array[],
): MemberPin {
  const keys = presented.map((blob) => parsePublicKeyBlob(blob));
  const pinned = pin.hostKeys.map((line) => parsePublicKeyLine(line));
  const isFirst = pinned.length === 0 && pin.accepted.length === 0;
  const isPinned = (key: PublicKeyLine): boolean => pinned.some(({ line }) => line === key.line);
  const isAccepted = (key: PublicKeyLine): boolean => isFirst || pin.accepted.includes(fingerprint(suite, key.blob));

  const strange = keys.filter((key) => !isPinned(key) && !isAccepted(key));
  const changed = strange.filter((key) => pinned.some(({ type }) => type === key.type));
  const refused = strange.length === keys.length ? strange : changed;
  if (refused.length > 0) throw changedHostKeys(suite, host, pinned, refused);

  const accepted = keys.filter((key) => !isPinned(key) && isAccepted(key));
  const kept = pinned.filter((key) => keys.some(({ line }) => line === key.line) || !isTypeOf(accepted, key));
  const hostKeys = [...new Set([...kept, ...accepted].map(({ line }) => line))];
  const used = keys.map((key): string => fingerprint(suite, key.blob));
  return { ...pin, hostKeys, accepted: pin.accepted.filter((text) => !used.includes(text)) };
}

function isTypeOf(keys: readonly PublicKeyLine[], { type }: PublicKeyLine): boolean {
  return keys.some((key) => key.type === type);
}

function changedHostKeys(
  suite: CipherSuite,
  host: string,
  pinned: readonly PublicKeyLine[],
  refused: readonly PublicKeyLine[],
): SecurityError {
  const types = new Set(refused.map(({ type }) => type));
  const sameType = pinned.filter(({ type }) => types.has(type));
  const listed = (keys: readonly PublicKeyLine[]): string =>
    keys.map(({ blob }) => fingerprint(suite, blob)).join(" and ") || "none yet";
  // Where no type is the same on both sides, all that is pinned is what the device has not shown.
  const before = listed(refused.every((key) => isTypeOf(sameType, key)) ? sameType : pinned);
  const change = `Pinned ${before}, the device now presents ${listed(refused)}.`;
  const commands = refused.map((key) => `sshnp trust accept ${host} ${fingerprint(suite, key.blob)}`);
  const { name, member } = parseHostName(host);
  return new SecurityError("E_HOST_KEY", `HOST KEY CHANGED for ${host}. ${change} Not connecting.`, {
    next:
      `Installed anew? Compare on the device: sshnpd check -a ${name} -d ${member} (and the other options of its sshnpd), ` +
      `then: ${commands.join(" && ")}   Not expected? Stop, and tell whoever answers for the device.`,
  });
}
