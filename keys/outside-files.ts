import { access, constants, type FileHandle, lstat, open, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { SetupError } from "./errors.ts";
import { shellWord } from "./shell-word.ts";

/*
 * Files that a person names, in folders that need not be private: a USB stick, a network drive.
 */

/**
 * Refuses what {@link createOutside} would refuse, as far as that shows beforehand: for those who would ask a person for
 * something, or work for seconds, until they write. @throws {SetupError} E_KEY_EXISTS, E_STORAGE.
 */
export async function refuseUnlessCreatable(path: string): Promise<void> {
  try {
    await lstat(path);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") throw notWritten(path, error);
    return await access(dirname(path), constants.W_OK | constants.X_OK).catch((cause: unknown): never => {
      throw notWritten(path, cause);
    });
  }
  throw exists(path);
}

/**
 * Writes a file that must not exist yet, for its owner alone (0600); it is on disk when this returns, or not there at all.
 * @throws {SetupError} E_KEY_EXISTS, E_STORAGE.
 */
export async function createOutside(path: string, bytes: Uint8Array): Promise<void> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw codeOf(error) === "EEXIST" ? exists(path) : notWritten(path, error);
  }
  try {
    await handle.writeFile(bytes);
    await handle.sync();
    await handle.close();
    const folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (error) {
    await handle.close().catch(() => {});
    await rm(path, { force: true });
    throw notWritten(path, error);
  }
}

/** The bytes of a file. @throws {SetupError} E_STORAGE when it cannot be read, or is larger than `maxBytes`. */
export async function readOutside(path: string, maxBytes: number): Promise<Uint8Array> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { bytesRead, buffer } = await handle.read(new Uint8Array(maxBytes + 1), 0, maxBytes + 1, 0);
      if (bytesRead <= maxBytes) return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw new SetupError("E_STORAGE", `Cannot read ${shellWord(path)} (${codeOf(cause)}).`, {
      next: "Check the file's name, and whether you may read it.",
      cause,
    });
  }
  throw new SetupError("E_STORAGE", `${shellWord(path)} is larger than such a file can be (${maxBytes} bytes).`, {
    next: "Give the right file.",
  });
}

function exists(path: string): SetupError {
  return new SetupError("E_KEY_EXISTS", `${shellWord(path)} exists and is never overwritten.`, {
    next: "Give another file.",
  });
}

function notWritten(path: string, cause: unknown): SetupError {
  return new SetupError("E_STORAGE", `Cannot write ${shellWord(path)} (${codeOf(cause)}).`, {
    next: "Check its folder, the free space and whether the disk is writable, then run this again.",
    cause,
  });
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "unknown";
}
