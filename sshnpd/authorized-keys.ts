import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { hex, utf8 } from "../keys/bytes.ts";
import { SetupError } from "../keys/errors.ts";
import type { PublicKeyLine } from "../keys/openssh.ts";
import { shellWord } from "../keys/shell-word.ts";
import { lockOpenFile } from "../keys/kernel-lock.ts";

/**
 * Adds a line for `key` to `.ssh/authorized_keys` below `home`, unless a line there has the key already, whatever
 * options it stands under: somebody may have restricted it. The bytes of all other lines stay as they are, and so do
 * owner and mode. There is the old file or the new one at every moment, after a crash as well, and writers that use this
 * function follow each other. What is not plainly a file of the user who runs this is refused, not followed.
 *
 * `comment` ends the line and must have no white space.
 * @returns whether the key was added, rather than there already.
 * @throws {SetupError} E_KEY_PERMISSIONS when folder or file is no plain one of this user's; E_STORAGE.
 */
export async function addAuthorizedKey(home: string, key: PublicKeyLine, comment: string): Promise<boolean> {
  const folder = join(home, ".ssh");
  await storing(folder, () => makeFolder(folder));
  const handle = await storing(folder, () =>
    open(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW),
  );
  try {
    refuseUnlessOwn(folder, await handle.stat(), "folder");
    if (!(await lockOpenFile(handle.fd, { wait: LOCK_MS }))) {
      throw new SetupError("E_STORAGE", `${shellWord(folder)} has been locked for ${LOCK_MS / 1000} s.`, {
        next: `Look who holds it: fuser -v ${shellWord(folder)}`,
      });
    }
    return await storing(join(folder, FILE), () => addToFile(folder, handle, key, comment));
  } finally {
    await handle.close(); // and with it the lock
  }
}

/** Whether one of the words of an authorized_keys text is this key. Comments after a key are words as well. */
export function hasKey(text: string, blob: Uint8Array): boolean {
  return text
    .split("\n")
    .filter((line) => !line.trimStart().startsWith("#"))
    .some((line) => line.split(/[\s"]+/).some((word) => isKey(word, blob)));
}

const FILE = "authorized_keys";
const TEMPORARY = /^\.authorized_keys\.[0-9a-f]{16}\.new$/;
/** Others hold the lock for some milliseconds each. */
const LOCK_MS = 10_000;
/** Some thousand keys; more are somebody's mistake, and sshd would read them at every login. */
const MAX_FILE_BYTES = 1024 * 1024;
/** Of programs that do not lock: they write once in a while, not without pause. */
const ATTEMPTS = 5;
const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

async function addToFile(folder: string, handle: FileHandle, key: PublicKeyLine, comment: string): Promise<boolean> {
  await sweep(folder);
  const path = join(folder, FILE);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const before = await readOwnFile(path);
    if (hasKey(before.bytes.toString("latin1"), key.blob)) return false;
    const temporary = join(folder, `.${FILE}.${hex(crypto.getRandomValues(new Uint8Array(8)))}.new`);
    try {
      await writeNew(temporary, withLine(before.bytes, `${key.line} ${comment}`), before.stats);
      if (!isUnchanged(before.stats, await lstat(path).catch(() => undefined))) continue;
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
    await handle.sync();
    return true;
  }
  throw new SetupError("E_STORAGE", `${shellWord(path)} changes all the time.`, {
    next: "Stop what writes it, then connect again.",
  });
}

/** sshd wants both folder and file closed to other writers (StrictModes); so they are made, and so they must be. */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, 0o700);
  } catch (error) {
    if (!hasCode(error, "EEXIST")) throw error;
  }
}

async function readOwnFile(path: string): Promise<{ readonly bytes: Buffer; readonly stats: Stats | undefined }> {
  let handle: FileHandle;
  try {
    handle = await open(path, READ);
  } catch (error) {
    if (hasCode(error, "ENOENT")) return { bytes: Buffer.alloc(0), stats: undefined };
    throw error;
  }
  try {
    const stats = await handle.stat();
    refuseUnlessOwn(path, stats, "file");
    const bytes = await handle.readFile();
    return { bytes, stats };
  } finally {
    await handle.close();
  }
}

function withLine(before: Buffer, line: string): Uint8Array {
  const isOpen = before.length > 0 && before.at(-1) !== 0x0a;
  return Buffer.concat([before, utf8(`${isOpen ? "\n" : ""}${line}\n`)]);
}

async function writeNew(path: string, bytes: Uint8Array, like: Stats | undefined): Promise<void> {
  const handle = await open(path, WRITE_NEW, 0o600);
  try {
    if (like !== undefined) {
      if ((await handle.stat()).gid !== like.gid) await handle.chown(like.uid, like.gid);
      await handle.chmod(like.mode & 0o777);
    }
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function isUnchanged(before: Stats | undefined, now: Stats | undefined): boolean {
  if (before === undefined || now === undefined) return before === now;
  return before.ino === now.ino && before.size === now.size && before.ctimeMs === now.ctimeMs;
}

/** Removes what a killed process left. Whoever calls it has the lock, so nobody is writing. */
async function sweep(folder: string): Promise<void> {
  for (const name of await readdir(folder)) if (TEMPORARY.test(name)) await rm(join(folder, name), { force: true });
}

function refuseUnlessOwn(path: string, stats: Stats, kind: "folder" | "file"): void {
  const user = process.geteuid?.();
  const refuse = (fact: string): never => {
    throw new SetupError("E_KEY_PERMISSIONS", `${shellWord(path)} ${fact}, so no key is added to it.`, {
      next: "Make it a plain one of that user's: folder 0700, file 0600. Or add the key by hand.",
    });
  };
  if (!(kind === "folder" ? stats.isDirectory() : stats.isFile())) refuse(`is not a ${kind}`);
  if (stats.uid !== user) refuse(`belongs to user ${stats.uid}, not to user ${user}`);
  if ((stats.mode & 0o022) !== 0) refuse("may be written by others");
  if (kind === "file" && stats.nlink !== 1) refuse("has a second name (hard link)");
  if (kind === "file" && stats.size > MAX_FILE_BYTES) refuse(`has more than ${MAX_FILE_BYTES} bytes`);
}

async function storing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error)) throw error;
    const link = hasCode(error, "ELOOP") || hasCode(error, "ENOTDIR");
    throw new SetupError(
      link ? "E_KEY_PERMISSIONS" : "E_STORAGE",
      link
        ? `${shellWord(path)} is a symbolic link or not a folder, so no key is added.`
        : `Cannot write ${shellWord(path)} (${"code" in error ? String(error.code) : "unknown"}).`,
      { next: "Check owner, mode and free space, or add the key by hand.", cause: error },
    );
  }
}

/** Decoded as loosely as Node does it, for sshd may take what is not canonical base64. */
function isKey(word: string, blob: Uint8Array): boolean {
  return word.length >= blob.length && Buffer.from(word, "base64").equals(blob);
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
