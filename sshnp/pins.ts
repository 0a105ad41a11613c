import { join } from "node:path";
import { equalBytes, utf8 } from "../keys/bytes.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { hostName, type MemberName, type Name } from "../keys/names.ts";
import type { Fingerprint } from "../keys/openssh.ts";
import { readPeer, writePeer } from "../keys/peer-files.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { judgeHostKeys, judgePeer, type PeerClaim } from "../protocol/peers.ts";
import { knownHostsFile } from "./ssh-command.ts";

/**
 * Remembers a device that has just proved its keys in a handshake, and writes its SSH host keys where ssh will look for
 * them. All is judged against what lies on disk now, because another session may have written since the first look.
 * `now` in ms.
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
  const known = await readPeer(folder, claim.name);
  const judged = judgePeer(suite, claim, { known, given }, now);
  const { lines, peer } = judgeHostKeys(suite, hostName(claim), judged.peer, claim.member, hostKeys);
  if (JSON.stringify(peer) !== JSON.stringify(known)) await writePeer(folder, peer);
  await writeKnownHosts(folder, claim, lines);
}

/** Removes what ssh knows of a device; that there is nothing is no error. */
export async function forgetKnownHosts(
  keys: PrivateFolder,
  device: { readonly name: Name; readonly member: MemberName },
): Promise<void> {
  const state = await PrivateFolder.open(join(keys.path, "state"));
  await state?.remove(knownHostsFile(device));
}

async function writeKnownHosts(
  keys: PrivateFolder,
  device: { readonly name: Name; readonly member: MemberName },
  lines: readonly string[],
): Promise<void> {
  const state = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  const host = hostName(device);
  const text = utf8(lines.map((line) => `${host} ${line}\n`).join(""));
  const before = await state.read(knownHostsFile(device), MAX_KNOWN_HOSTS_BYTES);
  if (before === undefined || !equalBytes(before, text)) await state.replace(knownHostsFile(device), text);
}

/** HOST_KEYS lines of the largest keys. */
const MAX_KNOWN_HOSTS_BYTES = 64 * 1024;
