import { Command } from "commander";
import { isAgeFile, sealWithPassphrase } from "../age-file.ts";
import { ownerFile, parseOwnerFile } from "../end-key-files.ts";
import { SetupError } from "../errors.ts";
import { damaged, MAX_KEY_FILE_BYTES, orDamaged, unlock } from "../guarded-files.ts";
import { keysFolderPath } from "../keys-folder.ts";
import { type Name, parseName } from "../names.ts";
import { ed25519Line, fingerprint, parsePublicKeyLine } from "../openssh.ts";
import { askNewPassphrase, askPassphrase } from "../passphrase.ts";
import { PrivateFolder } from "../private-folder.ts";
import { shellWord } from "../shell-word.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { createOutside, refuseUnlessCreatable } from "../outside-files.ts";
import { interruption } from "../interruption.ts";
import { say } from "./say.ts";

interface BackupOptions {
  readonly keys?: string;
}

/** `sshnp-keys backup` */
export function backupCommand(): Command {
  return new Command("backup")
    .description("Write the owner key of a name into a file that a passphrase guards.")
    .argument("<name>", "the name, such as @acme")
    .argument("<file>", "where to; it must not exist")
    .option("--keys <folder>", "where the keys are (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .addHelpText(
      "after",
      `
The file is an age file: sshnp-keys restore FILE brings it back, and age -d opens it without us. Where the owner key has a
passphrase the backup has the same; else one is asked for, or read from the file that SSHNP_PASSPHRASE_FILE names. Members
are not in it: they are made on their machines and stay there; whoever has the owner key makes new ones.

Examples:
  sshnp-keys backup @acme /media/stick/acme.age
  SSHNP_PASSPHRASE_FILE=passphrase.txt sshnp-keys backup @acme acme.age`,
    )
    .action((name: string, file: string, options: BackupOptions) => backup(parseName(name), file, options));
}

async function backup(name: Name, file: string, { keys }: BackupOptions): Promise<void> {
  const path = keysFolderPath(keys, process.env);
  const signal = interruption();
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const folder = await PrivateFolder.open(path);
  const bytes = await folder?.read(ownerFile(name), MAX_KEY_FILE_BYTES);
  if (folder === undefined || bytes === undefined) throw nothingHere(name, path);
  await refuseUnlessCreatable(file);
  const from = folder.pathOf(ownerFile(name));
  const plaintext = await unlock(from, bytes, (guarded) => askPassphrase(guarded, { signal }));
  const owner = orDamaged(from, () => parseOwnerFile(suite, plaintext));
  if (owner?.name !== name) throw damaged(from);
  const sealed = isAgeFile(bytes)
    ? bytes
    : await sealWithPassphrase(plaintext, await askNewPassphrase("Passphrase for the backup: ", { signal }));
  await createOutside(file, sealed);
  const key = fingerprint(suite, parsePublicKeyLine(ed25519Line(owner.privateKey.publicKey)).blob);
  say(`The owner key of ${name} is in ${shellWord(file)}: ${key}`);
  say(`To bring it back: sshnp-keys restore ${shellWord(file)}`);
  say("Keep its passphrase elsewhere: without it nobody opens it.");
}

function nothingHere(name: Name, path: string): SetupError {
  return new SetupError(
    "E_NO_KEYS",
    `The owner key of ${name} is in no file here, so that there is nothing to back up.`,
    {
      next: `A key in ssh-agent is kept by whoever made it, one on a token by the token. In another folder than ${shellWord(path)}? --keys FOLDER`,
    },
  );
}
