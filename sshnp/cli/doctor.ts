import { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { type Name, parseName, quoted } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { askPassphrase } from "../../keys/passphrase.ts";
import { directoryInEnvironment, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { loadClient } from "../client-keys.ts";
import { contactDirectory } from "../directory-contact.ts";
import { outcomeOf } from "../outcome.ts";
import { readDefaults } from "../settings.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { readTarget, type Target } from "../target.ts";
import { destinationOf, withDestinationOptions } from "./destination-options.ts";
import { type DirectoryFlags, directoryOf } from "./directory-options.ts";
import { type Check, checkLines, checksJson, statusOf } from "./doctor/check.ts";
import { untilInterrupted } from "./interruption.ts";
import { runVerb } from "./run-verb.ts";

interface DoctorFlags extends DirectoryFlags {
  readonly json?: boolean;
}

/** `sshnp doctor ...` */
export async function doctor(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp doctor")
    .description(
      "Look at everything that a session needs, one line each, with what to do about what fails. Nothing is changed on this machine. " +
        "The exit status is that of the first failure.",
    )
    .argument(
      "[names...]",
      "[@client], or [@client] @device [user@]mygateway to look at a device, too; its policy may demand the user",
    )
    .option("--json", "as JSON, when all is looked at");
  withDestinationOptions(command).action((names: readonly string[], flags: DoctorFlags) =>
    untilInterrupted((signal) => examine(names, flags, signal)),
  );
  return await runVerb(command, words);
}

async function examine(words: readonly string[], flags: DoctorFlags, signal: AbortSignal): Promise<void> {
  const { client, target } = readWhom(words);
  PrivateFolder.changeNothing();
  const checks: Check[] = [];
  for await (const check of diagnose(client, target, flags, signal)) {
    signal.throwIfAborted();
    checks.push(check);
    if (flags.json !== true) await printData(checkLines(check));
  }
  if (flags.json === true) await printData(checksJson(checks));
  process.exitCode = statusOf(checks);
}

/** Every look in its order; what one of them shows hides none of the others. */
async function* diagnose(
  name: Name | undefined,
  target: Target | undefined,
  flags: DoctorFlags,
  signal: AbortSignal,
): AsyncGenerator<Check, void, void> {
  const { directory, keys: path, witnesses } = directoryOf(flags);
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const client = await outcomeOf(() => loadClient(suite, path, name, (file) => askPassphrase(file, { signal })));
  const address = await outcomeOf(() => {
    const stated = directory === undefined ? directoryInEnvironment(process.env) : undefined;
    const given = directory ?? ("value" in client ? client.value.keys.directory : undefined);
    if (stated !== undefined) return stated;
    if (given === undefined) throw noAddress();
    return parseDirectoryAddress(given);
  });
  const contact =
    "error" in client
      ? client
      : await outcomeOf(() => contactDirectory(suite, client.value, { directory, witnesses }, { signal }));
  const asked = { address, contact };
  const of = await import("./doctor/directory-checks.ts");
  yield of.checkClock(asked);
  yield* of.checkWay(asked);
  yield of.checkRootKey(asked);
  yield await (await import("./doctor/key-files.ts")).checkKeyFiles(path);
  yield of.checkOwn(asked);
  yield of.checkLog(asked);
  yield* of.checkRendezvous(asked, signal);
  if (target === undefined || "error" in client) return;
  const { checkDevice } = await import("./doctor/device-checks.ts");
  yield* checkDevice(destinationOf(flags, target), client.value, contact, signal);
}

function readWhom(words: readonly string[]): {
  readonly client: Name | undefined;
  readonly target: Target | undefined;
} {
  const defaults = readDefaults(process.env);
  const [first, second] = words;
  const isNamed = first === undefined || (second === undefined && first.startsWith("@"));
  if (isNamed) return { client: first === undefined ? defaults.client : parseName(first), target: undefined };
  const target = readTarget(words, defaults, USAGE);
  if (target.words < words.length) {
    throw new SetupError("E_USAGE", `${quoted(words[target.words] ?? "")} is one word too many.`, { next: USAGE });
  }
  return { client: target.client, target };
}

function noAddress(): SetupError {
  return new SetupError("E_USAGE", "It is not known where the directory is.", {
    next: "The key file of a client says it; or say it with --directory or SSHNP_DIRECTORY.",
  });
}

const USAGE = "Usage: sshnp doctor [--json] [@client]   or: sshnp doctor [--json] [@client] @device [user@]mygateway";
