import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import { lockOpenFile } from "./kernel-lock.ts";

export interface RunningLock {
  /** Gives it back; the end of the process does the same. */
  release(): void;
}

/**
 * Makes sure that one daemon at a time uses a member's keys from this folder, on this machine or in containers that share
 * the folder: by the kernel's lock on a file beside them, see kernel-lock.ts. The file stays when the lock is
 * given back: if it were removed, one process could hold the lock of the removed file and another that of a new one. What
 * stands in it is told to people and never relied on.
 * @throws {SetupError} E_RUNNING when another daemon has it; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function takeRunningLock(
  keys: PrivateFolder,
  { name, member }: { readonly name: Name; readonly member: MemberName },
): Promise<RunningLock> {
  const folder = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  const path = folder.pathOf(`running.${name}.${member}`);
  const descriptor = openLockFile(path);
  try {
    if (!(await lockOpenFile(descriptor, { wait: 0 }))) {
      throw new SetupError(
        "E_RUNNING",
        `Another sshnpd runs with the keys of ${member} of ${name} already${processIn(path)}.`,
        {
          next: "Leave that one running, or stop it first. A second device needs a name of its own: sshnpd -d NAME",
        },
      );
    }
    ftruncateSync(descriptor);
    writeSync(descriptor, `${process.pid}\n`, 0);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return { release: () => closeSync(descriptor) };
}

function openLockFile(path: string): number {
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new SetupError("E_STORAGE", `Cannot write ${shellWord(path)}.`, {
      next: "Check the folder's owner, the free space and whether the disk is writable, then run this again.",
      cause,
    });
  }
}

/** Right on this machine; a daemon in a container wrote the number that it has there. */
function processIn(path: string): string {
  const text = readFileSync(path, "utf8");
  return /^[0-9]{1,10}\n$/.test(text) ? ` (process ${text.trimEnd()})` : "";
}
