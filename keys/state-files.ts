import { rmdir } from "node:fs/promises";
import { join } from "node:path";
import type * as v from "valibot";
import { assert, SetupError } from "./errors.ts";
import { parseJsonFile, printJsonFile } from "./json-file.ts";
import { PrivateFolder } from "./private-folder.ts";
import { shellWord } from "./shell-word.ts";

/*
 * What changes, beside the key files that never do: `state/` of a keys folder, one file per subject, each replaced as
 * a whole. Two processes may write the same file; the later one stays, so what must not be undone takes a lock
 * (peer-files.ts). A file's name is made of our own words and of names by the grammar of names.ts, never of other input.
 */

/**
 * The value of a state file, or undefined when it was never written.
 * @throws {SetupError} E_BAD_KEY_FILE when it is not as {@link writeState} leaves it; E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function readState<T>(
  keys: PrivateFolder,
  file: string,
  schema: v.GenericSchema<T>,
): Promise<T | undefined> {
  const folder = await PrivateFolder.open(join(keys.path, STATE));
  const bytes = await folder?.read(file, MAX_STATE_FILE_BYTES);
  if (folder === undefined || bytes === undefined) return undefined;
  const value = parseJsonFile(schema, bytes);
  if (value === undefined) {
    throw new SetupError("E_BAD_KEY_FILE", `${shellWord(folder.pathOf(file))} is damaged.`, {
      next: "Restore it from a backup, or move it away: what it remembers (pins, for one) is then learnt anew.",
    });
  }
  return value;
}

/** Writes the file as a whole; it is on disk when this returns. @throws {SetupError} E_KEY_PERMISSIONS, E_STORAGE. */
export async function writeState<T>(
  keys: PrivateFolder,
  file: string,
  schema: v.GenericSchema<T>,
  value: T,
): Promise<void> {
  const bytes = printJsonFile(schema, value);
  assert(bytes.length <= MAX_STATE_FILE_BYTES, "what is written to a file can be read back");
  const folder = await PrivateFolder.openOrCreate(join(keys.path, STATE));
  await folder.replace(file, bytes);
}

/** Names of the state files that there are, sorted. @throws {SetupError} E_KEY_PERMISSIONS, E_STORAGE. */
export async function listState(keys: PrivateFolder): Promise<string[]> {
  const folder = await PrivateFolder.open(join(keys.path, STATE));
  return folder === undefined ? [] : await folder.list();
}

/** Forgets a subject; that there was nothing is no error. @throws {SetupError} E_KEY_PERMISSIONS, E_STORAGE. */
export async function removeState(keys: PrivateFolder, file: string): Promise<void> {
  const folder = await PrivateFolder.open(join(keys.path, STATE));
  await folder?.remove(file);
}

/** Removes the folder of the state files if it is empty: for an action that came to nothing. */
export async function removeEmptyState(keys: PrivateFolder): Promise<void> {
  await rmdir(join(keys.path, STATE)).catch(() => {});
}

const STATE = "state";
/** Far more than the largest of them, a member's binding and host keys, can have. */
const MAX_STATE_FILE_BYTES = 4 * 1024 * 1024;
