import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { SetupError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import { lockOpenFile } from "../keys/kernel-lock.ts";

export interface RunningLock {
  /** Gives it back and leaves nothing; the end of the process gives it back as well. */
  release(): Promise<void>;
}

/**
 * Makes sure that one daemon at a time uses a member's keys from this folder, on this machine or in containers that share
 * the folder: by the kernel's lock on a file beside them, see keys/kernel-lock.ts. A file that a killed daemon left is not
 * locked and so refuses nobody; what stands in it is told to people and never relied on.
 *
 * Whoever has the lock may remove the file. Another process that had it open by then gets the lock of a file that is no
 * longer there; so a lock counts only if the file is still the one of that name, and else is tried for anew.
 * @throws {SetupError} E_RUNNING when another daemon has it; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function takeRunningLock(
  keys: PrivateFolder,
  { name, member }: { readonly name: Name; readonly member: MemberName },
): Promise<RunningLock> {
  const folder = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  const path = folder.pathOf(`running.${name}.${member}`);
  for (;;) {
    const descriptor = openLockFile(path);
    try {
      if (!(await lockOpenFile(descriptor, { wait: 0 }))) {
        throw new SetupError(
          "E_RUNNING",
          `Another sshnpd runs with the keys of ${member} of ${name} already${processIn(descriptor)}.`,
          { next: "Leave that one running, or stop it first. A second device needs a name of its own: sshnpd -d NAME" },
        );
      }
      if (isStillAt(path, descriptor)) {
        ftruncateSync(descriptor);
        writeSync(descriptor, `${process.pid}\n`, 0);
        return {
          release: async () => {
            rmSync(path, { force: true });
            closeSync(descriptor);
            await folder.removeMade();
          },
        };
      }
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    closeSync(descriptor);
  }
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

function isStillAt(path: string, descriptor: number): boolean {
  const named = statSync(path, { throwIfNoEntry: false });
  const opened = fstatSync(descriptor);
  return named?.ino === opened.ino && named.dev === opened.dev;
}

/** Right on this machine; a daemon in a container wrote the number that it has there. */
function processIn(descriptor: number): string {
  const text = readFileSync(descriptor, "utf8");
  return /^[0-9]{1,10}\n$/.test(text) ? ` (process ${text.trimEnd()})` : "";
}
