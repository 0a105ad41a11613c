/** Files that hold private keys: plain, or age files where a passphrase guards them. */
import { isAgeFile, openWithPassphrase, sealWithPassphrase } from "./age-file.ts";
import { assert, PeerError, SetupError, SshnpError } from "./errors.ts";
import type { PrivateFolder } from "./private-folder.ts";
import type { Secret } from "./secret.ts";
import { shellWord } from "./shell-word.ts";

export interface Protection {
  /** Makes the file an age file. */
  readonly passphrase?: Secret | undefined;
  /** scrypt's log2(N); age's default when absent. */
  readonly scryptWorkFactor?: number | undefined;
}

/** Asks a person for the passphrase of the file at `path`; called only when there is one. */
export type AskPassphrase = (path: string) => Promise<Secret>;

/** As many statements of 8 KiB as a member file may hold, each doubled by JSON's escapes, and some keys. */
export const MAX_KEY_FILE_BYTES = 256 * 1024;

/** Writes a file that must not exist yet, and returns its path. @throws {SetupError} E_KEY_EXISTS, E_STORAGE, E_PASSPHRASE (empty). */
export async function writeGuarded(
  folder: PrivateFolder,
  file: string,
  plaintext: Uint8Array,
  { passphrase, scryptWorkFactor }: Protection,
): Promise<string> {
  const bytes =
    passphrase === undefined ? plaintext : await sealWithPassphrase(plaintext, passphrase, scryptWorkFactor);
  assert(bytes.length <= MAX_KEY_FILE_BYTES, "what is written to a file can be read back");
  await folder.create(file, bytes);
  return folder.pathOf(file);
}

/** The plaintext of a file, or undefined when there is none. @throws {SetupError} as {@link unlock}; E_KEY_PERMISSIONS, E_STORAGE. */
export async function readGuarded(
  folder: PrivateFolder,
  file: string,
  askPassphrase: AskPassphrase | undefined,
): Promise<Uint8Array | undefined> {
  const bytes = await folder.read(file, MAX_KEY_FILE_BYTES);
  return bytes && (await unlock(folder.pathOf(file), bytes, askPassphrase));
}

/** The plaintext of the bytes that a file at `path` has. @throws {SetupError} E_PASSPHRASE, E_BAD_KEY_FILE when it is damaged. */
export async function unlock(
  path: string,
  bytes: Uint8Array,
  askPassphrase: AskPassphrase | undefined,
): Promise<Uint8Array> {
  if (!isAgeFile(bytes)) return bytes;
  if (askPassphrase === undefined) {
    throw new SetupError("E_PASSPHRASE", `${shellWord(path)} is guarded by a passphrase.`, {
      next: "Run this in a terminal, where it can ask for it.",
    });
  }
  const passphrase = await askPassphrase(path);
  const plaintext = await openWithPassphrase(bytes, passphrase).catch((error: unknown): never => {
    throw error instanceof PeerError ? damaged(path) : error;
  });
  if (plaintext === undefined) {
    throw new SetupError("E_PASSPHRASE", `That passphrase does not open ${shellWord(path)}.`, {
      next: "Try again. If you are sure of it, the file is damaged: restore it from a backup.",
    });
  }
  return plaintext;
}

/** What `parse` makes of a file; why it does not, is not told, as it could quote the file. @throws {SetupError} E_BAD_KEY_FILE. */
export function orDamaged<T>(path: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof SshnpError ? damaged(path) : error;
  }
}

export function damaged(path: string): SetupError {
  return new SetupError("E_BAD_KEY_FILE", `${shellWord(path)} is damaged, or is not the key file that its name says.`, {
    next: "An owner key comes back from its backup: sshnp-keys restore FILE   A member's keys are on one machine alone: move them away, and ask the owner to let it in anew, with sshnp-keys otp NAME",
  });
}
