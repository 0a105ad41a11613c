import { join } from "node:path";
import { equalBytes, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { hostName, type MemberName, type Name } from "../keys/names.ts";
import type { Fingerprint } from "../keys/openssh.ts";
import type { MemberPin, OwnerPin, PeerPins } from "../keys/peer.ts";
import { arePinned, lockPins, readPins, writePins } from "../keys/peer-files.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { judgeHostKeys } from "../protocol/host-keys.ts";
import { judgePeer, type PeerClaim } from "../protocol/peers.ts";
import { knownHostsFile } from "./ssh-command.ts";

/**
 * Remembers a device that has just proved its keys in a handshake, and writes its SSH host keys where ssh will look for
 * them. All is judged against what lies on disk now, because another session may have written since the first look; and
 * once more with the lock of the pins if there is something to write. `now` in ms.
 * @throws {SecurityError} E_HOST_KEY, E_OWNER_KEY, E_MEMBER_KEY: then nothing is written. Those of key files.
 */
export async function pinDevice(
  suite: CipherSuite,
  folder: PrivateFolder,
  proved: {
    readonly claim: PeerClaim;
    readonly given: Fingerprint | undefined;
    readonly hostKeys: readonly Uint8Array[];
  },
  now: number,
): Promise<void> {
  const { claim, given, hostKeys } = proved;
  const judge = (known: PeerPins): { readonly owner: OwnerPin; readonly member: MemberPin } => {
    const { owner, member } = judgePeer(suite, claim, { known, given }, now).pins;
    return { owner, member: judgeHostKeys(suite, hostName(claim), member, hostKeys) };
  };
  const known = await readPins(folder, claim);
  const pins = judge(known);
  if (arePinned(known, pins) && (await areKnownHosts(folder, claim, pins.member))) return;
  await lockPins(folder, async () => {
    const before = await readPins(folder, claim);
    const after = judge(before);
    await writePins(folder, before, after);
    if (!(await areKnownHosts(folder, claim, after.member))) await writeKnownHosts(folder, claim, after.member);
  });
}

/** Removes what ssh knows of a device; that there is nothing is no error. */
export async function forgetKnownHosts(keys: PrivateFolder, device: Device): Promise<void> {
  const state = await PrivateFolder.open(join(keys.path, "state"));
  await state?.remove(knownHostsFile(device));
}

interface Device {
  readonly name: Name;
  readonly member: MemberName;
}

async function areKnownHosts(keys: PrivateFolder, device: Device, pin: MemberPin): Promise<boolean> {
  const state = await PrivateFolder.open(join(keys.path, "state"));
  const written = await state?.read(knownHostsFile(device), MAX_KNOWN_HOSTS_BYTES);
  return written !== undefined && equalBytes(written, knownHosts(device, pin));
}

async function writeKnownHosts(keys: PrivateFolder, device: Device, pin: MemberPin): Promise<void> {
  const state = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  await state.replace(knownHostsFile(device), knownHosts(device, pin));
}

function knownHosts(device: Device, { hostKeys }: MemberPin): Uint8Array {
  return utf8(hostKeys.map((line) => `${hostName(device)} ${line}\n`).join(""));
}

/** Some twenty of the largest keys. */
const MAX_KNOWN_HOSTS_BYTES = 64 * 1024;
