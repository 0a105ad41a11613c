import { verifyBinding, verifyNameStatement } from "../../protocol/statements.ts";
import { readAcknowledged, removeAcknowledged, writeAcknowledged } from "../activation-files.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import {
  type AskPassphrase,
  type KeyFileEntry,
  listKeyFiles,
  type MemberKeys,
  type OwnerKeys,
  readMemberFile,
  readOwnerFile,
  removeMemberFile,
  removeOwnerFile,
  writeMemberFile,
  writeOwnerFile,
} from "../end-key-files.ts";
import { SetupError, SshnpError, UnavailableError } from "../errors.ts";
import { writeKeyListFile } from "../key-list-files.ts";
import type { MemberName, Name, Role } from "../names.ts";
import { type Fingerprint, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { keySigner, type OwnerSigner } from "../owner-signer.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import type { SignedText } from "../signed-text.ts";
import { removeEmptyState } from "../state-files.ts";

/** Who signs for the name. */
export interface ActivationOwner {
  readonly signer: OwnerSigner;
  /** What the owner's file holds, and what guards it; undefined for a key in an agent, of which there is no file. */
  readonly file: { readonly keys: OwnerKeys; readonly passphrase: Secret | undefined } | undefined;
}

/** What an activation sends and keeps. */
export interface ActivationKeys {
  readonly owner: ActivationOwner;
  readonly member: MemberKeys;
}

/** What an earlier run has left: all of its keys, or the owner's alone if it was cut off in between. */
export interface Begun {
  readonly owner: ActivationOwner;
  readonly member: MemberKeys | undefined;
}

/** Who is to become what. */
export interface Wanted {
  readonly name: Name;
  readonly member: MemberName;
  readonly role: Role;
}

export type MemberEntry = Extract<KeyFileEntry, { readonly kind: "member" }>;

/** The members of a name in this folder that the directory has acknowledged. */
export async function acknowledgedMembers(folder: PrivateFolder, name: Name): Promise<MemberEntry[]> {
  const members: MemberEntry[] = [];
  for (const entry of await listKeyFiles(folder, name)) {
    if (entry.kind === "member" && (await readAcknowledged(folder, entry)) === true) members.push(entry);
  }
  return members;
}

/**
 * The keys of an activation that was begun in this folder and never acknowledged; undefined when there are no keys of the
 * name. A client is called after its host, whose name may have changed since; a device must be the same one. `agent` is
 * given when the owner key is in an agent.
 * @throws {SetupError} E_KEY_EXISTS when the keys there are others than those wanted; those of key files.
 */
export async function findBegun(
  suite: CipherSuite,
  folder: PrivateFolder,
  wanted: Wanted,
  agent: OwnerSigner | undefined,
  ask: AskPassphrase,
): Promise<Begun | undefined> {
  const { name, role } = wanted;
  const entries = await listKeyFiles(folder, name);
  if (entries.length === 0) return undefined;
  const members = entries.filter((entry) => entry.kind === "member");
  const own =
    members.find(({ member }) => member === wanted.member) ??
    members.find((entry) => role === "client" && entry.role === "client");
  const ownerFile = entries.find(({ kind }) => kind === "owner");
  if (agent !== undefined && ownerFile !== undefined) throw ownerInFile(name, ownerFile.path);
  if (agent === undefined && ownerFile === undefined) throw await withoutOwner(suite, folder, name, members);
  if (own === undefined && members.length > 0) throw otherMember(wanted, members, entries);
  const owner = agent === undefined ? await readOwner(suite, folder, name, ask) : { signer: agent, file: undefined };
  if (own === undefined) return { owner, member: undefined };
  const member = await readMemberFile(suite, folder, own, ask);
  if (member === undefined) throw busy(folder, name);
  if (member.role !== role) throw anotherRole(wanted, own.path, member.role);
  if (agent !== undefined && member.owner !== agent.line) throw anotherOwner(suite, member);
  if (!belongTogether(suite, owner, member)) {
    throw new SetupError("E_BAD_KEY_FILE", `${shellWord(own.path)} and its owner key do not fit together.`, {
      next: "Restore both from one backup. Without one, move both away and activate anew: sshnp-keys activate",
    });
  }
  return { owner, member };
}

/** The two statements of an activation, as its member file holds them. */
export function statementsOf({ statements }: MemberKeys): { readonly name: SignedText; readonly binding: SignedText } {
  const [name, binding] = statements;
  if (name === undefined || binding === undefined) throw new SetupError("E_BAD_KEY_FILE", "A statement is missing.");
  return { name, binding };
}

/** Keys on disk, and how to take back what was written for them. */
export interface StoredKeys {
  readonly folder: PrivateFolder;
  /** Removes what {@link storeKeys} made. For keys that the directory has refused for certain, or never saw. */
  undo(): Promise<void>;
}

/**
 * Puts new keys on disk: the member's, and the owner's unless they are there from before.
 * @throws {UnavailableError} E_BUSY when another process is at it; {SetupError} E_KEY_PERMISSIONS, E_STORAGE. Then
 * nothing is left behind.
 */
export async function storeKeys(
  path: string,
  keys: ActivationKeys,
  { isOwnerNew }: { readonly isOwnerNew: boolean },
): Promise<StoredKeys> {
  const { owner, member } = keys;
  const folder = await PrivateFolder.openOrCreate(path);
  const steps: (() => Promise<void>)[] = [() => folder.removeMade()];
  const undo = async (): Promise<void> => {
    for (const step of steps.toReversed()) await step();
    // Another process may have found these keys meanwhile, and been let in with them.
    if ((await readAcknowledged(folder, member)) === true) await writeMissing(folder, keys);
  };
  try {
    if (isOwnerNew && owner.file !== undefined) {
      await writeOwnerFile(folder, owner.file.keys, owner.file);
      steps.push(() => removeOwnerFile(folder, member.name));
    }
    // Ahead of the member's file: whoever finds that one may have it acknowledged, which must stay on record.
    steps.push(() => forgetUnlessAcknowledged(folder, member));
    await writeAcknowledged(folder, member, false);
    await writeMemberFile(folder, member);
    steps.push(() => removeMemberFile(folder, member));
  } catch (error) {
    await undo();
    throw error instanceof SetupError && error.code === "E_KEY_EXISTS" ? busy(folder, member.name) : error;
  }
  return { folder, undo };
}

/**
 * Notes that the directory has acknowledged these keys; returns the path of the owner's file, if it has one.
 * @throws {SetupError} E_STORAGE.
 */
export async function confirmKeys(
  folder: PrivateFolder,
  keys: ActivationKeys,
  keyList: SignedText,
): Promise<string | undefined> {
  await writeKeyListFile(folder, keys.member.name, keyList);
  await writeAcknowledged(folder, keys.member, true);
  // Another process, refused with these keys, may have removed them meanwhile; see undo().
  return await writeMissing(folder, keys);
}

async function readOwner(
  suite: CipherSuite,
  folder: PrivateFolder,
  name: Name,
  ask: AskPassphrase,
): Promise<ActivationOwner> {
  const given: { passphrase?: Secret } = {};
  const keys = await readOwnerFile(suite, folder, name, async (path) => (given.passphrase = await ask(path)));
  if (keys === undefined) throw busy(folder, name);
  return { signer: keySigner(suite, keys.privateKey), file: { keys, passphrase: given.passphrase } };
}

function ownerInFile(name: Name, path: string): SetupError {
  return new SetupError("E_KEY_EXISTS", `The owner key of ${name} is in a file here: ${shellWord(path)}`, {
    next: `Run this again without --owner-key, or move the keys of ${name} away.`,
  });
}

async function withoutOwner(
  suite: CipherSuite,
  folder: PrivateFolder,
  name: Name,
  members: readonly MemberEntry[],
): Promise<SetupError> {
  const readable = members.find(({ role }) => role !== undefined);
  const member = readable === undefined ? undefined : await readMemberFile(suite, folder, readable);
  const agent =
    member === undefined ? "" : `If it is in an SSH agent: --owner-key agent:${ownerOf(suite, member)}. Else `;
  const paths = members.map(({ path }) => shellWord(path)).join(" ");
  return new SetupError(
    "E_KEY_EXISTS",
    `There are keys of ${name} in ${shellWord(folder.path)} without their owner's.`,
    { next: `${agent}${agent === "" ? "U" : "u"}se another folder (--keys DIR), or move them away: ${paths}` },
  );
}

function anotherOwner(suite: CipherSuite, member: MemberKeys): SetupError {
  const known = ownerOf(suite, member);
  return new SetupError(
    "E_KEY_EXISTS",
    `The activation of ${member.name} was begun here with the owner key ${known}.`,
    {
      next: `Go on with that: --owner-key agent:${known}`,
    },
  );
}

function ownerOf(suite: CipherSuite, { owner }: MemberKeys): Fingerprint {
  return fingerprint(suite, parsePublicKeyLine(owner).blob);
}

function otherMember({ name }: Wanted, members: readonly MemberEntry[], entries: readonly KeyFileEntry[]): SetupError {
  const [begun] = members;
  const option = begun === undefined || begun.role === "client" ? "without -d" : `with -d ${begun.member}`;
  const paths = entries.map(({ path }) => shellWord(path)).join(" ");
  return new SetupError("E_KEY_EXISTS", `The activation of ${name} was begun here as ${begun?.member}.`, {
    next: `Go on with that (run this again ${option}), or move its keys away: ${paths}`,
  });
}

function busy(folder: PrivateFolder, name: Name): UnavailableError {
  return new UnavailableError("E_BUSY", `${name} is being activated in ${shellWord(folder.path)} by another process.`, {
    next: "Wait for it to end, then run this again.",
  });
}

/** That a member is there with another role: its keys are neither used nor overwritten. */
export function anotherRole({ name, member, role }: Wanted, path: string, found: Role): SetupError {
  return new SetupError("E_KEY_EXISTS", `${member} of ${name} is a ${found} on this machine, not a ${role}.`, {
    next: `Choose another name with -d, or move that key file away: ${shellWord(path)}`,
  });
}

/** Writes those of the files that are not there, and returns the path of the owner's, if it has one. */
async function writeMissing(folder: PrivateFolder, { owner, member }: ActivationKeys): Promise<string | undefined> {
  const there = await listKeyFiles(folder, member.name);
  if (!there.some((entry) => entry.kind === "member" && entry.member === member.member)) {
    await writeMemberFile(folder, member);
  }
  if (owner.file === undefined) return undefined;
  const ownerPath = there.find(({ kind }) => kind === "owner")?.path;
  return ownerPath ?? (await writeOwnerFile(folder, owner.file.keys, owner.file));
}

async function forgetUnlessAcknowledged(folder: PrivateFolder, member: MemberKeys): Promise<void> {
  if ((await readAcknowledged(folder, member)) === true) return;
  await removeAcknowledged(folder, member);
  await removeEmptyState(folder);
}

function belongTogether(suite: CipherSuite, { signer, file }: ActivationOwner, member: MemberKeys): boolean {
  try {
    const { name, binding } = statementsOf(member);
    const named = verifyNameStatement(suite, name).statement;
    const bound = verifyBinding(suite, binding, signer.line).statement;
    const isName = named.owner === signer.line && named.name === member.name;
    const isSame = file === undefined || name.text === file.keys.statement.text;
    const isMember = bound.name === member.name && bound.member === member.member && bound.role === member.role;
    return isName && isSame && isMember && bound.x25519.equals(member.x25519.publicKey);
  } catch (error) {
    if (error instanceof SshnpError) return false;
    throw error;
  }
}
