import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { SetupError } from "./errors.ts";
import { isMember, isName, type MemberName, type Name } from "./names.ts";
import { isFingerprint } from "./openssh.ts";
import type { MemberPin, OwnerPin, PeerPins, SeenRevocation } from "./peer.ts";
import { PrivateFolder } from "./private-folder.ts";
import { shellWord } from "./shell-word.ts";
import { signedTextSchema } from "./signed-text.ts";
import { listState, readState, removeState, writeState } from "./state-files.ts";

/*
 * Pins lie in a file for each name (peer.@acme.json: its owner key) and one for each member (peer.@acme.mygateway.json: its
 * binding and host keys), so that sessions to many devices of one name have nothing to write in common but its first pin.
 *
 * Reading needs no lock. Whoever finds something to write takes lockPins, reads and judges once more, and writes then;
 * so nothing that another process has written meanwhile is undone.
 */

/** A name, or one member of it. */
export interface Subject {
  readonly name: Name;
  /** Undefined for the name itself. */
  readonly member: MemberName | undefined;
}

/** What is remembered of a name and, if one is asked for, of its member. @throws {SetupError} as {@link readState}. */
export async function readPins(keys: PrivateFolder, { name, member }: Subject): Promise<PeerPins> {
  const [owner, pin, revocation] = await Promise.all([
    readState(keys, ownerFile(name), ownerPinSchema),
    member === undefined ? undefined : readState(keys, memberFile(name, member), memberPinSchema),
    member === undefined ? undefined : readState(keys, revokedFile(name, member), revokedSchema),
  ]);
  return { owner, member: pin, revoked: revocation };
}

/**
 * Remembers that a member was revoked by its owner, so that no binding from before it counts again
 * here, whatever the directory's log says by then. @throws {SetupError} E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function rememberRevocation(
  keys: PrivateFolder,
  { name, member }: { readonly name: Name; readonly member: MemberName },
  { seq, owner }: SeenRevocation,
): Promise<void> {
  await lockPins(keys, async () => {
    const before = await readState(keys, revokedFile(name, member), revokedSchema);
    if (before?.owner === owner && before.seq >= seq) return;
    await writeState(keys, revokedFile(name, member), revokedSchema, { v: 1, seq, owner });
  });
}

/** All that is pinned: by name, each name ahead of its members. @throws {SetupError} as {@link listState}. */
export async function listPins(keys: PrivateFolder): Promise<Subject[]> {
  const subjects = (await listState(keys)).flatMap((file): Subject[] => {
    const [, name = "", member] = FILE.exec(file) ?? [];
    if (!isName(name)) return [];
    if (member === undefined) return [{ name, member }];
    return isMember(member) ? [{ name, member }] : [];
  });
  return subjects.toSorted((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/**
 * Runs `change` while no other process changes pins in this folder. The lock is the kernel's, on a file that stays: it
 * ends with whoever holds it.
 * @throws {SetupError} E_STORAGE when it cannot be had in 10 s; what `change` throws.
 */
export async function lockPins<T>(keys: PrivateFolder, change: () => Promise<T>): Promise<T> {
  if (PrivateFolder.isFrozen) return await change();
  // Most connects have nothing to write, and so nothing to load for it.
  const { lockOpenFile } = await import("./kernel-lock.ts");
  const path = (await PrivateFolder.openOrCreate(join(keys.path, "state"))).pathOf("pins.lock");
  const handle = await open(path, LOCK_FILE, 0o600).catch((cause: unknown) => {
    throw new SetupError("E_STORAGE", `Cannot write ${shellWord(path)}.`, {
      next: "Check the folder's owner, the free space and whether the disk is writable, then run this again.",
      cause,
    });
  });
  try {
    if (await lockOpenFile(handle.fd, { wait: LOCK_MS })) return await change();
    throw new SetupError("E_STORAGE", `${shellWord(path)} has been locked for ${LOCK_MS / 1000} s.`, {
      next: `Look who holds it: fuser -v ${shellWord(path)}`,
    });
  } finally {
    await handle.close(); // and with it the lock
  }
}

/** Whether writing `after` over `before` would change nothing. */
export function arePinned(before: PeerPins, after: PeerPins): boolean {
  return isSame(before.owner, after.owner) && isSame(before.member, after.member);
}

/**
 * Writes of `after` what differs from `before`, which was read under the same {@link lockPins}; the owner's pin is on disk
 * first. What is undefined in `after` stays as it is. @throws {SetupError} as {@link writeState}.
 */
export async function writePins(keys: PrivateFolder, before: PeerPins, after: PeerPins): Promise<void> {
  const { owner, member } = after;
  if (owner !== undefined && !isSame(before.owner, owner)) {
    await writeState(keys, ownerFile(owner.name), ownerPinSchema, owner);
  }
  if (member !== undefined && !isSame(before.member, member)) {
    await writeState(keys, memberFile(member.name, member.member), memberPinSchema, member);
  }
}

/** Forgets the pin of a name or of a member, under {@link lockPins}; that there is none is no error. */
export async function removePin(keys: PrivateFolder, { name, member }: Subject): Promise<void> {
  await removeState(keys, member === undefined ? ownerFile(name) : memberFile(name, member));
  if (member !== undefined) await removeState(keys, revokedFile(name, member));
}

const nameText = v.pipe(
  v.string(),
  v.check((text) => isName(text)),
);
const fingerprints = v.array(
  v.pipe(
    v.string(),
    v.check((text) => isFingerprint(text)),
  ),
);

export const ownerPinSchema: v.GenericSchema<OwnerPin> = v.strictObject({
  v: v.literal(1),
  name: nameText,
  owner: v.string(),
  origin: v.picklist(["given", "first contact", "accepted", "rotation"]),
  since: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  statement: signedTextSchema,
  accepted: fingerprints,
  former: v.optional(fingerprints),
});

export const memberPinSchema: v.GenericSchema<MemberPin> = v.strictObject({
  v: v.literal(1),
  name: nameText,
  member: v.pipe(
    v.string(),
    v.check((text) => isMember(text)),
  ),
  owner: v.string(),
  binding: signedTextSchema,
  delegation: v.nullable(signedTextSchema),
  hostKeys: v.array(v.string()),
  accepted: fingerprints,
});

export const revokedSchema: v.GenericSchema<SeenRevocation & { readonly v: 1 }> = v.strictObject({
  v: v.literal(1),
  seq: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  owner: v.string(),
});

const FILE = /^peer\.(@[^.]+)(?:\.([^.]+))?\.json$/;
const LOCK_FILE = constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW;
/** Others hold the lock for some milliseconds each. */
const LOCK_MS = 10_000;

function ownerFile(name: string): string {
  return `peer.${name}.json`;
}

function memberFile(name: string, member: string): string {
  return `peer.${name}.${member}.json`;
}

function revokedFile(name: string, member: string): string {
  return `revoked.${name}.${member}.json`;
}

/** A space sorts ahead of every character of a name. */
function sortKey({ name, member }: Subject): string {
  return `${name} ${member ?? ""}`;
}

function isSame(before: OwnerPin | MemberPin | undefined, after: OwnerPin | MemberPin | undefined): boolean {
  return after === undefined || JSON.stringify(before) === JSON.stringify(after);
}
