import { ftruncateSync, readFileSync, writeSync } from "node:fs";
import type { SetupError } from "./errors.ts";
import { type HeldFile, holdFile } from "./held-file.ts";
import type { PrivateFolder } from "./private-folder.ts";

/**
 * Makes sure that one process at a time works with what is in a folder, on this machine or in containers that share the
 * folder: by a lock on a file in it, see keys/held-file.ts. What stands in it is told to people and never relied on.
 * `whenTaken` gets ` (process N)` of the other one, or an empty text.
 * @throws {SetupError} what `whenTaken` makes of it; E_STORAGE.
 */
export async function holdRunningFile(
  folder: PrivateFolder,
  file: string,
  whenTaken: (other: string) => SetupError,
): Promise<HeldFile> {
  let other = "";
  const held = await holdFile(folder, file, { wait: 0, whenTaken: (descriptor) => (other = processIn(descriptor)) });
  if (held === undefined) throw whenTaken(other);
  try {
    ftruncateSync(held.descriptor);
    writeSync(held.descriptor, `${process.pid}\n`, 0);
  } catch {
    // On a full disk the lock holds all the same.
  }
  return held;
}

/** Right on this machine; a process in a container wrote the number that it has there. */
function processIn(descriptor: number): string {
  const text = readFileSync(descriptor, "utf8");
  return /^[0-9]{1,10}\n$/.test(text) ? ` (process ${text.trimEnd()})` : "";
}
