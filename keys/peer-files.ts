import * as v from "valibot";
import { isMember, isName, type Name } from "./names.ts";
import { type Fingerprint, isFingerprint } from "./openssh.ts";
import type { PeerFile } from "./peer.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { signedTextSchema } from "./signed-text.ts";
import { listState, readState, removeState, writeState } from "./state-files.ts";

const peerSchema: v.GenericSchema<PeerFile> = v.strictObject({
  v: v.literal(1),
  name: v.pipe(
    v.string(),
    v.check((name) => isName(name)),
  ),
  owner: v.string(),
  origin: v.picklist(["given", "first contact", "accepted"]),
  since: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  statement: signedTextSchema,
  members: v.array(
    v.strictObject({
      member: v.pipe(
        v.string(),
        v.check((member) => isMember(member)),
      ),
      binding: signedTextSchema,
      hostKeys: v.array(v.string()),
    }),
  ),
  accepted: v.array(
    v.pipe(
      v.string(),
      v.check((text) => isFingerprint(text)),
    ),
  ),
});

/** What is remembered of `name`, or undefined. @throws {SetupError} as {@link readState}. */
export async function readPeer(keys: PrivateFolder, name: Name): Promise<PeerFile | undefined> {
  return readState(keys, fileOf(name), peerSchema);
}

/** All peers that are remembered, sorted by name. @throws {SetupError} as {@link readState}. */
export async function listPeers(keys: PrivateFolder): Promise<PeerFile[]> {
  const peers: PeerFile[] = [];
  for (const file of await listState(keys)) {
    const name = /^peer\.(@.+)\.json$/.exec(file)?.[1] ?? "";
    const peer = isName(name) ? await readPeer(keys, name) : undefined;
    if (peer !== undefined) peers.push(peer);
  }
  return peers;
}

/** Remembers a peer, on disk when it returns. @throws {SetupError} as {@link writeState}. */
export async function writePeer(keys: PrivateFolder, peer: PeerFile): Promise<void> {
  await writeState(keys, fileOf(peer.name), peerSchema, peer);
}

/** Forgets a peer; that there was none is no error. */
export async function forgetPeer(keys: PrivateFolder, name: Name): Promise<void> {
  await removeState(keys, fileOf(name));
}

/** The peer with one more accepted fingerprint. */
export function withAccepted(peer: PeerFile, accepted: Fingerprint): PeerFile {
  return { ...peer, accepted: [...peer.accepted.filter((text) => text !== accepted), accepted] };
}

function fileOf(name: string): string {
  return `peer.${name}.json`;
}
