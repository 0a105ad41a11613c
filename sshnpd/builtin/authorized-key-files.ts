import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { equalBytes } from "../../keys/bytes.ts";
import type { Account } from "../accounts.ts";
import { AUTHORIZED_KEYS_READ_BYTES } from "../../protocol/limits.ts";
import { parseKeyLine } from "./key-line.ts";
import { type KeyRights, rightsOf } from "./key-rights.ts";

/** What the files of an account say of a key: its rights, or why it is not admitted, for the log of the device. */
export type KeyAnswer = { readonly rights: KeyRights } | { readonly refusal: string };

/**
 * Looks a key up in `.ssh/authorized_keys` and `authorized_keys2` of an account's home. The first line with the key that
 * does not refuse it counts, as with sshd. A file that others than the account and root can change counts for nothing,
 * nor one below a folder that they can (StrictModes of sshd_config(5)).
 *
 * `now` in ms since 1970 UTC.
 */
export async function findAuthorizedKey(account: Account, blob: Uint8Array, now: number): Promise<KeyAnswer> {
  let refusal = "no line of its authorized_keys has that key";
  for (const name of FILES) {
    const file = await readAuthorizedKeys(account, join(account.home, ".ssh", name));
    if (file === undefined) continue;
    if ("refusal" in file) {
      refusal = file.refusal;
      continue;
    }
    for (const text of file.text.split("\n")) {
      const line = parseKeyLine(text);
      if (line === undefined || !equalBytes(line.key.blob, blob)) continue;
      const rights = rightsOf(line.options, now);
      if (!("refusal" in rights)) return { rights };
      refusal = rights.refusal;
    }
  }
  return { refusal };
}

const FILES = ["authorized_keys", "authorized_keys2"];
/** Names a file without opening it (open(2)): a link of the account's to a device must not make root touch that device. */
const O_PATH = 0o10000000;

async function readAuthorizedKeys(
  account: Account,
  path: string,
): Promise<{ readonly text: string } | { readonly refusal: string } | undefined> {
  let place: FileHandle | undefined;
  let handle: FileHandle | undefined;
  try {
    const real = await realpath(path);
    const refusal = await unsafePlace(account, dirname(real), await realpath(account.home));
    if (refusal !== undefined) return { refusal };
    place = await open(real, O_PATH | constants.O_NOFOLLOW);
    const stats = await place.stat();
    if (!stats.isFile()) return { refusal: `${path} is no file` };
    if (!isSafe(stats, account)) return { refusal: `${path} could be changed by others (StrictModes)` };
    if (stats.size > AUTHORIZED_KEYS_READ_BYTES)
      return { refusal: `${path} has more than ${AUTHORIZED_KEYS_READ_BYTES} bytes` };
    handle = await open(`/proc/self/fd/${place.fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
    return { text: await readWhole(handle) };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : undefined;
    if (code === undefined) throw error;
    return code === "ENOENT" ? undefined : { refusal: `${path} cannot be read (${code})` };
  } finally {
    await handle?.close();
    await place?.close();
  }
}

/** Each folder from the one of the file up to the home, or to the root when the file lies elsewhere. */
async function unsafePlace(account: Account, folder: string, home: string): Promise<string | undefined> {
  for (let path = folder; ; path = dirname(path)) {
    if (!isSafe(await lstat(path), account)) return `${path} could be changed by others (StrictModes)`;
    if (path === home || path === dirname(path)) return undefined;
  }
}

function isSafe({ uid, mode }: Stats, account: Account): boolean {
  return (uid === account.uid || uid === 0) && (mode & 0o022) === 0;
}

async function readWhole(handle: FileHandle): Promise<string> {
  const buffer = Buffer.alloc(AUTHORIZED_KEYS_READ_BYTES);
  let length = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
    if (bytesRead === 0) return buffer.toString("utf8", 0, length);
    length += bytesRead;
  }
}
