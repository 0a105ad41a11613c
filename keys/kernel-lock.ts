import { spawn } from "node:child_process";
import { once } from "node:events";
import { SetupError } from "./errors.ts";

/**
 * Takes the exclusive flock(2) of an open file, and says whether it got it.
 *
 * Node has no call for it, so flock(1) takes it on the descriptor that it inherits from us. The lock belongs to the open
 * file and not to a process: it stays ours when that child has ended, and the kernel gives it back when we close the
 * file or end in whatever way. So no lock is ever left behind, by kill -9, by a reboot or by a container, and no
 * process number is ever compared with another.
 *
 * `wait` in milliseconds; 0 does not wait.
 * @throws {SetupError} E_STORAGE when flock(1) is missing or the file system cannot lock.
 */
export async function lockOpenFile(descriptor: number, { wait }: { readonly wait: number }): Promise<boolean> {
  const child = spawn("flock", wait === 0 ? ["-x", "-n", LOCKED] : ["-x", LOCKED], {
    stdio: ["ignore", "ignore", "ignore", descriptor],
    env: { PATH: process.env["PATH"] ?? DEFAULT_PATH },
    ...(wait === 0 ? {} : { timeout: wait }),
  });
  let status: number | null;
  try {
    [status] = (await once(child, "close")) as [number | null];
  } catch (cause) {
    throw new SetupError("E_STORAGE", "Cannot run flock, which keeps two processes from using one file at once.", {
      next: "Install it (Debian: apt-get install util-linux), then run this again.",
      cause,
    });
  }
  if (status === 0) return true;
  if (status === TAKEN || status === null) return false;
  throw new SetupError("E_STORAGE", `This file system cannot lock files (flock ended with ${status}).`, {
    next: "Use a folder on a local disk.",
  });
}

/** The child's number of the inherited file. */
const LOCKED = "3";
/** Exit status of `flock -n` when another process has the lock. */
const TAKEN = 1;
const DEFAULT_PATH = "/usr/bin:/bin:/usr/sbin:/sbin";
