import { constants } from "node:fs";
import { type FileHandle, lstat, mkdir, open, readFile, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { shellWord } from "../keys/shell-word.ts";
import { hasInclude, withInclude, withoutInclude } from "./include-line.ts";
import { isOurBlock } from "./ssh-config-block.ts";

/** A configuration of ssh, and the file of ours that it includes. */
export interface SshConfigFiles {
  /** Absolute. */
  readonly config: string;
  readonly block: string;
  /** The block's path as the Include line has it. */
  readonly include: string;
}

/**
 * `~/.ssh/config` below the home folder that OpenSSH takes: the one of passwd, whatever HOME says. A relative Include goes by
 * HOME all the same (glob(3) expands it), so it stands there only where the path cannot be written.
 */
export function filesInHome(home: string): SshConfigFiles {
  const folder = join(home, ".ssh");
  const block = join(folder, "config.d/sshnp");
  return { config: join(folder, "config"), block, include: isIncludable(block) ? `"${block}"` : "config.d/sshnp" };
}

/**
 * Another configuration, by absolute path. @throws {SetupError} E_USAGE when an Include line cannot name what is beside it, or
 * when it is everybody's: the block leads to one user's keys, and nobody else could read it.
 */
export function filesBeside(config: string): SshConfigFiles {
  if (config.startsWith("/etc/ssh/")) {
    throw new SetupError("E_USAGE", `${quoted(config)} is the configuration of all users, and keys are one user's.`, {
      next: "As each user: sshnp ssh-config --install",
    });
  }
  const block = join(dirname(config), "config.d/sshnp");
  if (!isIncludable(block)) {
    throw new SetupError("E_USAGE", `An Include line cannot name ${quoted(block)}.`, {
      next: "Give a --file in a folder without quotes, brackets and wildcards in its path.",
    });
  }
  return { config, block, include: `"${block}"` };
}

/** Whether Include takes the path as it is: it may expand `$\{}`, quotes and wildcards, and is written byte for byte. */
function isIncludable(path: string): boolean {
  return !/["'\\*?[\]{}]|[^ -~]/.test(path);
}

/** Writes the block and has the configuration include it. What is so already is left alone. @throws {SetupError} E_STORAGE. */
export async function installBlock({ config, block, include }: SshConfigFiles, text: string): Promise<void> {
  await refuseOthersFile(block);
  await storing(block, async () => {
    await mkdir(dirname(block), { recursive: true, mode: 0o700 });
    await replaceFile(block, Buffer.from(text), 0o600);
  });
  await rewrite(config, (before) => withInclude(before, include));
}

/** Takes both away again; returns the block that there was, or undefined where there was nothing. @throws {SetupError} E_STORAGE. */
export async function uninstallBlock({ config, block }: SshConfigFiles): Promise<string | undefined> {
  await refuseOthersFile(block);
  let found: string | undefined;
  await rewrite(config, (before) => {
    if (before === undefined || !hasInclude(before)) return before;
    found = "";
    return withoutInclude(before);
  });
  await storing(block, async () => {
    found = (await readText(block)) ?? found;
    await rm(block, { force: true });
  });
  await rmdir(dirname(block)).catch(() => {}); // there may be others' files in it
  return found;
}

/** A file, a character for each byte; undefined when there is none. @throws {SetupError} E_STORAGE. */
export async function readText(path: string): Promise<string | undefined> {
  return await storing(path, async () => {
    try {
      if ((await stat(path)).size > MAX_CONFIGURATION_BYTES) throw tooLarge(path);
      return await readFile(path, "latin1");
    } catch (error) {
      if (!hasCode(error, "ENOENT")) throw error;
      return undefined;
    }
  });
}

/** Nobody's configuration of ssh is near it. */
const MAX_CONFIGURATION_BYTES = 4 * 1024 * 1024;

/** Links stay: what they lead to is rewritten, with the owner and mode that it has. */
async function rewrite(path: string, change: (before: string | undefined) => string | undefined): Promise<void> {
  const before = await readText(path);
  const after = change(before);
  if (after === before) return;
  await storing(path, async () => {
    if (before === undefined) {
      if (await isLink(path)) throw leadsNowhere(path);
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      return await replaceFile(path, Buffer.from(after ?? "", "latin1"), 0o600);
    }
    const target = await realpath(path);
    if (after === undefined) return await rm(target);
    const { mode, uid, gid } = await stat(target);
    await replaceFile(target, Buffer.from(after, "latin1"), mode & 0o7777, { uid, gid });
  });
}

/** After a crash there is the old file or the new one. */
async function replaceFile(
  path: string,
  bytes: Uint8Array,
  mode: number,
  owner?: { readonly uid: number; readonly gid: number },
): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.sshnp-new`);
  await rm(temporary, { force: true }); // of a process of the same number that was killed
  try {
    const handle = await open(temporary, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
    try {
      if (owner !== undefined) await giveTo(handle, owner);
      await handle.chmod(mode);
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

async function giveTo(handle: FileHandle, { uid, gid }: { readonly uid: number; readonly gid: number }): Promise<void> {
  const is = await handle.stat();
  if (is.uid !== uid || is.gid !== gid) await handle.chown(uid, gid);
}

async function refuseOthersFile(block: string): Promise<void> {
  const text = await readText(block);
  if (text === undefined || text === "" || isOurBlock(text)) return;
  throw new SetupError("E_SSH_CONFIG", `${shellWord(block)} is there and not of sshnp's making.`, {
    next: "Give it another name, then run this again.",
  });
}

async function isLink(path: string): Promise<boolean> {
  return await lstat(path).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  );
}

function leadsNowhere(path: string): SetupError {
  return new SetupError("E_SSH_CONFIG", `${shellWord(path)} is a symbolic link to a file that is not there.`, {
    next: "Make that file, or remove the link, then run this again.",
  });
}

function tooLarge(path: string): SetupError {
  return new SetupError("E_SSH_CONFIG", `${shellWord(path)} is too large for a configuration of ssh.`, {
    next: "Is it the right file? Another one is named with --file.",
  });
}

async function storing<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error)) throw error;
    const reason = "code" in error ? ` (${String(error.code)})` : "";
    throw new SetupError("E_STORAGE", `Cannot read or write ${shellWord(path)}${reason}.`, {
      next: "Check its owner and folder. Is that file made by something else? Then have it include what sshnp ssh-config prints.",
      cause: error,
    });
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
