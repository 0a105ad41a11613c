import { constants, readFileSync, renameSync, type Stats } from "node:fs";
import { type FileHandle, link, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { hex } from "./bytes.ts";
import { assert, SetupError } from "./errors.ts";
import { shellWord } from "./shell-word.ts";

/**
 * A folder of secrets: mode 0700, ours, no symlink; its files 0600, ours, regular. Anything looser is refused, never
 * repaired, for whoever could read it may have done so. Writing is atomic and on disk when it returns: after a crash
 * or a power cut there is the old file or the new one.
 *
 * File names are the caller's own words and names by the grammar of names.ts, never other input.
 */
export class PrivateFolder {
  /** Absolute. */
  readonly path: string;
  /** The folders that openOrCreate made for it, the outermost first. */
  readonly #made: readonly string[];
  static #isFrozen = false;

  private constructor(path: string, made: readonly string[] = []) {
    this.path = path;
    this.#made = made;
  }

  /**
   * The folder at `path`, or undefined when there is none.
   * @throws {SetupError} E_KEY_PERMISSIONS when somebody else could read or replace what is in it.
   */
  static async open(path: string): Promise<PrivateFolder | undefined> {
    // Resolved, because lstat would follow a link whose path ends in a slash.
    const absolute = resolve(path);
    const stats = await lstat(absolute).catch((error: unknown) => {
      if (hasCode(error, "ENOENT")) return undefined;
      throw storageError("read", absolute, error);
    });
    if (stats === undefined) return undefined;
    await refuseUnlessPrivate(absolute, stats, "folder");
    return new PrivateFolder(absolute);
  }

  /** As {@link open}; makes the folder, and those above it, when missing. */
  static async openOrCreate(path: string): Promise<PrivateFolder> {
    const absolute = resolve(path);
    if (PrivateFolder.#isFrozen) return (await PrivateFolder.open(absolute)) ?? new PrivateFolder(absolute);
    const made = await storing(absolute, () => makeFolders(absolute));
    const folder = await PrivateFolder.open(absolute);
    if (folder === undefined) throw storageError("read", absolute, undefined);
    return new PrivateFolder(absolute, made);
  }

  /**
   * From here on this process changes nothing in any such folder: what would be written or removed is not, and a folder that
   * would be made is one without files. For those who look and promise to leave all as it is.
   */
  static changeNothing(): void {
    PrivateFolder.#isFrozen = true;
  }

  /** Whether {@link changeNothing} was called. */
  static get isFrozen(): boolean {
    return PrivateFolder.#isFrozen;
  }

  /** Where `file` is, for messages. */
  pathOf(file: string): string {
    assert(/^[@a-z0-9][@a-z0-9._-]*$/.test(file), "a file name is made of our own words");
    return join(this.path, file);
  }

  /** Names of the files in it, sorted; those being written are left out. */
  async list(): Promise<string[]> {
    const names = await readdir(this.path).catch((error: unknown) => {
      throw storageError("read", this.path, error);
    });
    return names.filter((name) => !name.startsWith(".")).toSorted();
  }

  /**
   * The bytes of `file`, or undefined when there is none.
   * @throws {SetupError} E_KEY_PERMISSIONS when it is too open; E_BAD_KEY_FILE when it is larger than `maxBytes`.
   */
  async read(file: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const path = this.pathOf(file);
    let handle: FileHandle;
    try {
      // Not to hang on a named pipe that somebody put there.
      handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
      if (hasCode(error, "ENOENT")) return undefined;
      const stats = await lstat(path).catch(() => undefined);
      if (stats !== undefined) await refuseUnlessPrivate(path, stats, "file");
      throw storageError("read", path, error);
    }
    try {
      const stats = await handle.stat();
      await refuseUnlessPrivate(path, stats, "file");
      if (stats.size > maxBytes) throw tooLarge(path, maxBytes);
      return await readWhole(handle, stats.size);
    } finally {
      await handle.close();
    }
  }

  /** Writes a file that must not exist yet. @throws {SetupError} E_KEY_EXISTS when it does; E_STORAGE. */
  async create(file: string, bytes: Uint8Array): Promise<void> {
    const path = this.pathOf(file);
    await this.#writeThrough(file, bytes, async (temporary) => {
      try {
        await link(temporary, path);
      } catch (error) {
        if (!hasCode(error, "EEXIST")) throw error;
        throw new SetupError("E_KEY_EXISTS", `${shellWord(path)} exists and is never overwritten.`, {
          next: "To make a new one, move that file to a safe place first.",
        });
      }
      await rm(temporary);
    });
  }

  /** Writes a file, in place of the one of that name if there is one. @throws {SetupError} E_STORAGE. */
  async replace(file: string, bytes: Uint8Array): Promise<void> {
    await this.#writeThrough(file, bytes, (temporary) => rename(temporary, this.pathOf(file)));
  }

  /** The same if `isStill` says so of what stands there, with no wait between the two; tells whether it did. */
  async replaceIf(file: string, isStill: (bytes: Uint8Array) => boolean, bytes: Uint8Array): Promise<boolean> {
    let isReplaced = false;
    await this.#writeThrough(file, bytes, async (temporary) => {
      isReplaced = isStill(readFileSync(this.pathOf(file)));
      if (isReplaced) renameSync(temporary, this.pathOf(file));
      else await rm(temporary);
    });
    return isReplaced;
  }

  /** Removes a file; that there is none is no error. @throws {SetupError} E_STORAGE. */
  async remove(file: string): Promise<void> {
    if (PrivateFolder.#isFrozen) return;
    const path = this.pathOf(file);
    await storing(path, async () => {
      await rm(path, { force: true });
      await syncFolder(this.path);
    });
  }

  /**
   * Removes the folders that {@link openOrCreate} made for this one, as far as they are empty: for an action that came
   * to nothing.
   */
  async removeMade(): Promise<void> {
    for (const path of this.#made.toReversed()) await rmdir(path).catch(() => {});
  }

  /** Writes a file of another name, on disk, which `publish` then gives its own name. */
  async #writeThrough(file: string, bytes: Uint8Array, publish: (temporary: string) => Promise<void>): Promise<void> {
    if (PrivateFolder.#isFrozen) return;
    const path = this.pathOf(file);
    const unique = hex(crypto.getRandomValues(new Uint8Array(8)));
    const temporary = join(this.path, `.${file}.${unique}${TEMPORARY}`);
    await storing(path, async () => {
      await this.#sweep();
      try {
        const handle = await open(temporary, WRITE_NEW, 0o600);
        try {
          await handle.writeFile(bytes);
          await handle.sync();
        } finally {
          await handle.close();
        }
        await publish(temporary);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
      await syncFolder(this.path);
    });
  }

  /** Removes what a killed process left: secrets should live only where they are looked for. */
  async #sweep(): Promise<void> {
    for (const name of await readdir(this.path)) {
      if (!name.startsWith(".") || !name.endsWith(TEMPORARY)) continue;
      const leftover = join(this.path, name);
      const stats = await lstat(leftover).catch(() => undefined);
      if (stats !== undefined && Date.now() - stats.mtimeMs > ABANDONED_MS) await rm(leftover, { force: true });
    }
  }
}

const TEMPORARY = ".new";
/** Another process may be writing just now, but nobody takes an hour over a file of a few kilobytes. */
const ABANDONED_MS = 60 * 60_000;
const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

async function refuseUnlessPrivate(path: string, stats: Stats, kind: "folder" | "file"): Promise<void> {
  const word = shellWord(path);
  const refuse = (fact: string, next: string): never => {
    throw new SetupError("E_KEY_PERMISSIONS", `${word} ${fact}.`, { next });
  };
  if (stats.isSymbolicLink()) {
    const target = shellWord(await realpath(path).catch(() => "the real place"));
    refuse(
      "is a symbolic link",
      kind === "folder" ? `Give the folder itself: ${target}` : `Remove the link: rm ${word}`,
    );
  }
  if (!(kind === "folder" ? stats.isDirectory() : stats.isFile())) {
    refuse(`is not a ${kind}`, `Move it away: mv ${word} ${word}.old`);
  }
  if (stats.uid !== process.geteuid?.()) {
    const { fact, next } = await (await import("./foreign-owner.ts")).foreignOwner(path, stats, kind);
    refuse(fact, next);
  }
  if ((stats.mode & 0o077) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, "0");
    // One with the sticky bit is everybody's, as /tmp, and is to stay so.
    const isShared = kind === "folder" && (stats.mode & 0o1000) !== 0;
    const mend = `chmod ${kind === "folder" ? "700" : "600"} ${word}`;
    refuse(`may be used by others (mode ${mode})`, isShared ? "Name a folder of your own: --keys DIR" : mend);
  }
}

/** At most `size` bytes: our own files never grow, they are replaced. */
async function readWhole(handle: FileHandle, size: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(size);
  let length = 0;
  while (length < size) {
    const { bytesRead } = await handle.read(buffer, length, size - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

function tooLarge(path: string, maxBytes: number): SetupError {
  return new SetupError("E_BAD_KEY_FILE", `${shellWord(path)} is larger than such a file can be (${maxBytes} bytes).`, {
    next: "Move it away, and restore the right one from a backup.",
  });
}

/** Makes a folder and those above it, each on disk before the next is made in it; returns them, the outermost first. */
async function makeFolders(path: string): Promise<string[]> {
  let above: string[] = [];
  let isMade: boolean;
  try {
    isMade = await makeFolder(path);
  } catch (error) {
    if (!hasCode(error, "ENOENT") || dirname(path) === path) throw error;
    above = await makeFolders(dirname(path));
    isMade = await makeFolder(path);
  }
  if (!isMade) return above;
  await syncFolder(dirname(path));
  return [...above, path];
}

/** Whether it was not there; another process may be making the same folders. */
async function makeFolder(path: string): Promise<boolean> {
  try {
    await mkdir(path, 0o700);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

/** Puts on disk which files a folder has. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function storing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw error instanceof Error && "syscall" in error ? storageError("write", path, error) : error;
  }
}

function storageError(verb: "read" | "write", path: string, cause: unknown): SetupError {
  const reason = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return new SetupError("E_STORAGE", `Cannot ${verb} ${shellWord(path)}${reason}.`, {
    next: "Check the folder's owner, the free space and whether the disk is writable, then run this again.",
    cause,
  });
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
