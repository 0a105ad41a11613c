import { Command } from "commander";
import { loadSuite } from "../../protocol/suite/load.ts";
import { isAgeFile, openWithPassphrase } from "../age-file.ts";
import { equalBytes, utf8 } from "../bytes.ts";
import type { CipherSuite } from "../cipher-suite.ts";
import { type OwnerKeys, ownerFile, parseOwnerFile } from "../end-key-files.ts";
import { DeniedError, PeerError, SecurityError, SetupError, UnavailableError } from "../errors.ts";
import { MAX_KEY_FILE_BYTES } from "../guarded-files.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { readOutside } from "../outside-files.ts";
import { keySigner } from "../owner-signer.ts";
import { formerOwnerFiles } from "../owner-succession-files.ts";
import { askPassphrase } from "../passphrase.ts";
import { PrivateFolder } from "../private-folder.ts";
import type { Secret } from "../secret.ts";
import { shellWord } from "../shell-word.ts";
import type { SignedText } from "../signed-text.ts";
import { parseSshsig, verifySshsig } from "../sshsig.ts";
import { interruption } from "../interruption.ts";
import { OwnerWork } from "./owner-work.ts";
import { say } from "./say.ts";

interface RestoreOptions {
  readonly keys?: string;
  readonly directory?: string;
}

/** `sshnp-keys restore` */
export function restoreCommand(): Command {
  return new Command("restore")
    .description("Bring an owner key back from the file that sshnp-keys backup wrote.")
    .argument("<file>", "the backup")
    .option("--keys <folder>", "where the keys go (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .option(
      "--directory <address>",
      "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY, else as a member here has it)",
    )
    .addHelpText(
      "after",
      `
The key keeps the passphrase of the backup. Another key is never overwritten; the same once more is no harm. Where the
directory is known it is asked whether the key was rotated away since; else that shows at its first use.

Examples:
  sshnp-keys restore /media/stick/acme.age
  SSHNP_PASSPHRASE_FILE=passphrase.txt sshnp-keys restore acme.age --keys /tmp/keys`,
    )
    .action((file: string, options: RestoreOptions) => restore(file, options));
}

async function restore(file: string, options: RestoreOptions): Promise<void> {
  const signal = interruption();
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const bytes = await readOutside(file, MAX_KEY_FILE_BYTES);
  const keys = keysFolderPath(options.keys, process.env);
  await PrivateFolder.open(keys); // one that will not do is refused before a passphrase is asked for
  const backup = await openBackup(suite, file, bytes, signal);
  const folder = await PrivateFolder.openOrCreate(keys);
  const { name } = backup.owner;
  const path = folder.pathOf(ownerFile(name));
  try {
    if (await isThere(suite, folder, backup)) return say(`The owner key of ${name} is in ${shellWord(path)} already.`);
    await refuseFormer(suite, folder, backup);
    await askDirectory(backup, options);
    await folder.create(ownerFile(name), bytes);
  } catch (error) {
    await folder.removeMade();
    throw error;
  }
  const key = fingerprint(suite, parsePublicKeyLine(backup.line).blob);
  say(`The owner key of ${name} is restored to ${shellWord(path)}, guarded by the backup's passphrase: ${key}`);
}

interface Backup {
  readonly owner: OwnerKeys;
  /** The key as an OpenSSH public key line. */
  readonly line: string;
  readonly bytes: Uint8Array;
  readonly passphrase: Secret;
}

async function openBackup(suite: CipherSuite, file: string, bytes: Uint8Array, signal: AbortSignal): Promise<Backup> {
  if (!isAgeFile(bytes)) throw noBackup(file);
  const passphrase = await askPassphrase(file, { signal });
  const owner = await open(suite, bytes, passphrase).catch((error: unknown): never => {
    throw error instanceof PeerError ? noBackup(file) : error;
  });
  if (owner === WRONG_PASSPHRASE) {
    throw new SetupError("E_PASSPHRASE", `That passphrase does not open ${shellWord(file)}.`, {
      next: "Try again. If you are sure of it, the file is damaged: take another copy.",
    });
  }
  if (owner === undefined) throw noBackup(file);
  return { owner, line: ed25519Line(owner.privateKey.publicKey), bytes, passphrase };
}

const WRONG_PASSPHRASE = "wrong passphrase";

/** The owner keys in the bytes of an owner file. @throws {PeerError} when it is damaged. */
async function open(
  suite: CipherSuite,
  bytes: Uint8Array,
  passphrase: Secret,
): Promise<OwnerKeys | typeof WRONG_PASSPHRASE | undefined> {
  if (!isAgeFile(bytes)) return parseOwnerFile(suite, bytes);
  const plaintext = await openWithPassphrase(bytes, passphrase);
  return plaintext === undefined ? WRONG_PASSPHRASE : parseOwnerFile(suite, plaintext);
}

/** Whether the owner file here holds that key. @throws {SetupError} E_KEY_EXISTS, {SecurityError} E_OWNER_KEY when another. */
async function isThere(suite: CipherSuite, folder: PrivateFolder, backup: Backup): Promise<boolean> {
  const { name } = backup.owner;
  const bytes = await folder.read(ownerFile(name), MAX_KEY_FILE_BYTES);
  if (bytes === undefined) return false;
  if (equalBytes(bytes, backup.bytes)) return true;
  const here = await open(suite, bytes, backup.passphrase).catch(() => undefined);
  if (here === WRONG_PASSPHRASE || here === undefined) throw another(folder.pathOf(ownerFile(name)));
  if (here.privateKey.publicKey.equals(backup.owner.privateKey.publicKey)) return true;
  if (signerOf(suite, here.statement) === backup.line) throw rotatedAway(suite, backup);
  throw another(folder.pathOf(ownerFile(name)));
}

/** @throws {SecurityError} E_OWNER_KEY when this folder keeps that key as one that was rotated away. */
async function refuseFormer(suite: CipherSuite, folder: PrivateFolder, backup: Backup): Promise<void> {
  for (const bytes of (await formerOwnerFiles(folder, backup.owner.name)).values()) {
    if (equalBytes(bytes, backup.bytes)) throw rotatedAway(suite, backup);
    const former = await open(suite, bytes, backup.passphrase).catch(() => undefined);
    if (former === undefined || former === WRONG_PASSPHRASE) continue;
    if (former.privateKey.publicKey.equals(backup.owner.privateKey.publicKey)) throw rotatedAway(suite, backup);
  }
}

/** @throws {SecurityError} E_OWNER_KEY when a directory that is known here says that this key does not speak for the name. */
async function askDirectory(backup: Backup, options: RestoreOptions): Promise<void> {
  const { name, privateKey } = backup.owner;
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  let work: OwnerWork;
  try {
    work = await OwnerWork.open(name, options, keySigner(suite, privateKey));
  } catch (error) {
    if (error instanceof SetupError && error.code === "E_USAGE" && options.directory === undefined) return;
    throw error;
  }
  try {
    const { chain } = await work.account();
    if (chain.owner === backup.line) return;
  } catch (error) {
    if (error instanceof UnavailableError) {
      return say(`Whether that key was rotated away since is not known: ${error.message}`);
    }
    if (!(error instanceof DeniedError)) throw error;
  }
  throw rotatedAway(suite, backup);
}

function signerOf(suite: CipherSuite, { text, signature }: SignedText): string {
  return verifySshsig(suite, signature, parseSshsig(signature).namespace, utf8(text));
}

function noBackup(file: string): SetupError {
  return new SetupError("E_BAD_KEY_FILE", `${shellWord(file)} is no backup of an owner key, or is damaged.`, {
    next: "Take another copy of it. sshnp-keys backup writes such files.",
  });
}

function another(path: string): SetupError {
  return new SetupError("E_KEY_EXISTS", `${shellWord(path)} holds another key, or is guarded by another passphrase.`, {
    next: "It is never overwritten. To restore, move it to a safe place first, or give another folder: --keys FOLDER",
  });
}

function rotatedAway(suite: CipherSuite, { owner: { name }, line }: Backup): SecurityError {
  const key = fingerprint(suite, parsePublicKeyLine(line).blob);
  return new SecurityError("E_OWNER_KEY", `The key in that backup, ${key}, does not speak for ${name} any more.`, {
    next: "It was rotated away: restore a backup of the key that took its place.",
  });
}
