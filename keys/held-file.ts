import { closeSync, constants, fstatSync, openSync, rmSync, statSync } from "node:fs";
import { SetupError } from "./errors.ts";
import { lockOpenFile } from "./kernel-lock.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { shellWord } from "./shell-word.ts";

export interface HeldFile {
  readonly descriptor: number;
  /** Gives it back and leaves no file; the end of the process gives it back as well. */
  release(): void;
}

/**
 * Holds the kernel's lock on a file of that name, see keys/kernel-lock.ts, so that one process at a time has it; undefined when
 * another one has it for longer than `wait` (ms). A file that a killed process left is not locked and so refuses nobody.
 *
 * Whoever has the lock may remove the file. Another process that had it open by then gets the lock of a file that is no
 * longer there; so a lock counts only if the file is still the one of that name, and else is tried for anew. `whenTaken` sees
 * the file that another one has locked.
 * @throws {SetupError} E_STORAGE.
 */
export async function holdFile(
  folder: PrivateFolder,
  file: string,
  { wait, whenTaken }: { readonly wait: number; readonly whenTaken?: (descriptor: number) => void },
): Promise<HeldFile | undefined> {
  const path = folder.pathOf(file);
  for (;;) {
    const descriptor = openLockFile(path);
    let isHeld = false;
    try {
      if (!(await lockOpenFile(descriptor, { wait }))) {
        whenTaken?.(descriptor);
        return undefined;
      }
      isHeld = isStillAt(path, descriptor);
    } finally {
      if (!isHeld) closeSync(descriptor);
    }
    if (!isHeld) continue;
    const release = (): void => {
      rmSync(path, { force: true });
      closeSync(descriptor);
    };
    return { descriptor, release };
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
