import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Command } from "commander";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SetupError } from "../../keys/errors.ts";
import { interruption } from "../../keys/interruption.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { readDirectoryKeys } from "../../keys/service-key-files.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { timeOf } from "../database-clock.ts";
import { openDataFolder, openStore, rememberStore } from "../data-folder.ts";
import { Keyring } from "../keyring.ts";
import { openGuardedLog } from "../log/checkpoint-file.ts";
import { refuseUnfilledStore } from "../log/unfilled-store.ts";
import { exportStore, importStore } from "../transfer.ts";
import { DATA, type DataOptions, keysFolder, keysOption, storeOption } from "./data-options.ts";
import { random } from "./random.ts";

/** `sshnp-directory export`, `sshnp-directory import` */
export function addTransferCommands(program: Command): void {
  program
    .command("export")
    .description("Print the whole store, to be imported into another one. Private keys are not in it.")
    .requiredOption(...DATA)
    .addOption(storeOption())
    .addHelpText(
      "after",
      `
A store in the data folder has to be at rest: stop its directory first. All proofs stay what they are.

Example, from the data folder to PostgreSQL:
  sshnp-directory export --data np | sshnp-directory import --data np --store postgres://sshnp@db.example.org/sshnp`,
    )
    .action((options: DataOptions) => exportAll(options));
  program
    .command("import")
    .description("Fill an empty store with what export has printed, from stdin.")
    .requiredOption("--data <folder>", "the data folder with the directory's private keys")
    .addOption(storeOption())
    .addOption(keysOption())
    .action((options: DataOptions) => importAll(options));
}

async function exportAll({ data, store: url }: DataOptions): Promise<void> {
  const folder = await openDataFolder(data);
  const signal = interruption("Run the command again.");
  await using store = await openStore(folder, { url, signal, onlyIfThere: true });
  await refuseUnfilledStore(store.database, [folder]);
  for await (const lines of exportStore(store.database)) {
    if (!process.stdout.write(lines)) await once(process.stdout, "drain");
  }
}

async function importAll(options: DataOptions): Promise<void> {
  const signal = interruption("Run the command again.");
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const { folder, keys } = await foldersWithKeys(suite, options);
  await using store = await openStore(folder, { url: options.store, signal, evenIfLeft: true });
  const count = await importStore(store.database, linesOfInput(signal));
  const now = await timeOf(store.database);
  const keyring = await Keyring.open({ suite, random }, keys, store, now);
  const { log } = await openGuardedLog({
    ...{ suite, folder, sharedFolder: keys, database: store.database },
    ...{ privateKey: keyring.log, origin: keyring.origin },
    acceptOlder: false,
    onError: () => {}, // whoever runs on it writes that file, and says so
  });
  // The way back; the way there is to run on it.
  if (options.store === undefined) await rememberStore(folder, undefined);
  process.stderr.write(`${count} entries; the log has ${log.checkpoint.size} leaves.\n`);
}

/** A directory that was exported has its keys; new ones would be of another one. @throws {SetupError} E_NO_KEYS. */
async function foldersWithKeys(
  suite: CipherSuite,
  options: DataOptions,
): Promise<{ readonly folder: PrivateFolder; readonly keys: PrivateFolder }> {
  const folder = await PrivateFolder.open(options.data);
  const keys = folder && (await keysFolder(options, folder));
  if (folder !== undefined && keys !== undefined && (await readDirectoryKeys(suite, keys)) !== undefined) {
    return { folder, keys };
  }
  throw new SetupError("E_NO_KEYS", `There are no keys of a directory in ${shellWord(options.keys ?? options.data)}.`, {
    next: "Import into the data folder that has the keys (a store in it is moved out of it first), or name theirs: --keys FOLDER",
  });
}

/** Begun when the first is asked for: an interface loses the lines that nobody has asked for. */
async function* linesOfInput(signal: AbortSignal): AsyncGenerator<string, void, void> {
  yield* createInterface({ input: process.stdin, signal });
  signal.throwIfAborted();
}
