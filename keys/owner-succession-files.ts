import { base64 } from "./bytes.ts";
import type { CipherSuite } from "./cipher-suite.ts";
import {
  formerOwnerFile,
  isFormerOwnerFile,
  nextOwnerFile,
  type OwnerKeys,
  ownerFile,
  parseOwnerFile,
  printOwnerFile,
} from "./end-key-files.ts";
import {
  type AskPassphrase,
  damaged,
  MAX_KEY_FILE_BYTES,
  orDamaged,
  type Protection,
  readGuarded,
  writeGuarded,
} from "./guarded-files.ts";
import { SetupError } from "./errors.ts";
import type { Name } from "./names.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { shellWord } from "./shell-word.ts";

/*
 * The owner files of a rotation, beside that of the owner key of now: the one that the name is to be handed on to, until it
 * is certain that it was, and those that were rotated away. None is called like a key file, so that nobody takes it for the
 * key that speaks for the name.
 */

/** The owner key of a rotation that was begun in this folder; undefined when there is none. Throws as readOwnerFile. */
export async function readNextOwner(
  suite: CipherSuite,
  folder: PrivateFolder,
  name: Name,
  askPassphrase: AskPassphrase,
): Promise<OwnerKeys | undefined> {
  const path = nextOwnerPath(folder, name);
  const bytes = await readGuarded(folder, nextOwnerFile(name), askPassphrase);
  if (bytes === undefined) return undefined;
  const next = orDamaged(path, () => parseOwnerFile(suite, bytes));
  if (next?.name !== name) throw damaged(path);
  return next;
}

/** @throws {SetupError} E_KEY_EXISTS when a rotation was begun here meanwhile; E_STORAGE, E_PASSPHRASE (empty). */
export async function writeNextOwner(folder: PrivateFolder, next: OwnerKeys, protection: Protection): Promise<void> {
  await writeGuarded(folder, nextOwnerFile(next.name), printOwnerFile(next), protection);
}

/** Forgets a rotation that is done, or that came to nothing. @throws {SetupError} E_STORAGE. */
export async function removeNextOwner(folder: PrivateFolder, name: Name): Promise<void> {
  await folder.remove(nextOwnerFile(name));
}

export function nextOwnerPath(folder: PrivateFolder, name: Name): string {
  return folder.pathOf(nextOwnerFile(name));
}

/**
 * Keeps the owner file, which was rotated away, under the number of its statement; gives its path, or undefined when there
 * is no owner file, or it is that of the next owner already. The same again changes nothing.
 * @throws {SetupError} E_KEY_EXISTS when another key is kept under that number; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function keepFormerOwner(folder: PrivateFolder, name: Name, seq: number): Promise<string | undefined> {
  const [old, next, kept] = await Promise.all(
    [ownerFile(name), nextOwnerFile(name), formerOwnerFile(name, seq)].map((file) =>
      folder.read(file, MAX_KEY_FILE_BYTES),
    ),
  );
  const path = folder.pathOf(formerOwnerFile(name, seq));
  if (old === undefined || (next !== undefined && isSame(old, next))) return kept && path;
  if (kept === undefined) await folder.create(formerOwnerFile(name, seq), old);
  else if (!isSame(kept, old)) {
    throw new SetupError("E_KEY_EXISTS", `${shellWord(path)} holds another key, and is never overwritten.`, {
      next: "Move it to a safe place, then run this again.",
    });
  }
  return path;
}

/** Gives the owner file's place to the next owner's; returns its path. The same again changes nothing. @throws {SetupError} E_STORAGE. */
export async function installNextOwner(folder: PrivateFolder, name: Name): Promise<string> {
  const next = await folder.read(nextOwnerFile(name), MAX_KEY_FILE_BYTES);
  if (next !== undefined) await folder.replace(ownerFile(name), next);
  return folder.pathOf(ownerFile(name));
}

/** The bytes of the kept files of keys that were rotated away, by path. @throws {SetupError} E_STORAGE, E_KEY_PERMISSIONS. */
export async function formerOwnerFiles(folder: PrivateFolder, name: Name): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  for (const file of await folder.list()) {
    if (!isFormerOwnerFile(name, file)) continue;
    const bytes = await folder.read(file, MAX_KEY_FILE_BYTES);
    if (bytes !== undefined) found.set(folder.pathOf(file), bytes);
  }
  return found;
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return base64(a) === base64(b);
}
