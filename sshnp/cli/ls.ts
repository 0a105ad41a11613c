import { Command, Option } from "commander";
import { listDevices } from "../../directory/client.ts";
import { DeniedError, SetupError } from "../../keys/errors.ts";
import { type Name, parseName, quoted } from "../../keys/names.ts";
import { listPins } from "../../keys/peer-files.ts";
import { printData } from "../../keys/print-data.ts";
import { withDoctor } from "../doctor-hint.ts";
import { ownEndTrouble } from "../own-end-texts.ts";
import { Progress } from "../progress.ts";
import { readDefaults } from "../settings.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { withDestinationOptions } from "./destination-options.ts";
import type { DirectoryFlags } from "./directory-options.ts";
import { untilInterrupted } from "./interruption.ts";
import { devicesText, type ListedDevice, type LsForm } from "./ls/text.ts";
import { printChanges, printTables, redraw, watch } from "./ls/watch.ts";
import { openDirectory } from "./open-directory.ts";
import { runVerb } from "./run-verb.ts";

interface LsFlags extends DirectoryFlags {
  readonly output?: Exclude<LsForm, "tabs">;
  readonly json?: boolean;
  readonly online?: boolean;
  readonly watch?: boolean;
}

/** `sshnp ls ...` */
export async function ls(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp ls")
    .description(
      "List the devices that you may reach, and whether they are online: a table on a terminal, lines with tabs anywhere else. " +
        "Who is online is the directory's word; nobody signs it.",
    )
    .argument("[names...]", "[@client] [@device]; without a name those of all names that this machine knows")
    .addOption(
      new Option("-o, --output <form>", "how to print them").choices(["table", "wide", "json", "ndjson", "name"]),
    )
    .option("--json", "the same as -o json")
    .option("--online", "only those that are online")
    .option("--watch", "go on: draws the table anew on a terminal, prints what changes anywhere else");
  withDestinationOptions(command).action((names: readonly string[], flags: LsFlags) => list(names, flags));
  return await runVerb(command, words);
}

async function list(words: readonly string[], flags: LsFlags): Promise<void> {
  const form = formOf(flags);
  const asked = readNames(words);
  if (flags.watch !== true) {
    const { ask, now } = await prepare(asked, flags, new AbortController().signal);
    await printData(devicesText(await ask(new AbortController().signal), form, now()));
    return;
  }
  if (form === "json") {
    throw usage(
      "What is watched has no end, and a JSON document has one.",
      "Watch it line by line: sshnp ls --watch -o ndjson",
    );
  }
  await untilInterrupted(async (signal) => {
    const watched = await prepare(asked, flags, signal);
    const isTable = form === "table" || form === "wide";
    const draw = process.stdout.isTTY ? redraw : printTables;
    await watch(watched, isTable ? draw(form, watched.now) : printChanges(form), signal);
  });
}

/** What asks the directory, once for each name. */
async function prepare({ client: of, device }: Names, flags: LsFlags, signal: AbortSignal) {
  const progress = new Progress(flags.verbose === true);
  const { client, directory } = await openDirectory(flags, of, { progress, signal });
  const { keys, standing, folder } = client;
  const names = device === undefined ? await knownNames(folder, keys.name) : [device];
  let hasSeen = false;
  const ask = async (patience: AbortSignal): Promise<ListedDevice[]> => {
    const all: ListedDevice[] = [];
    try {
      for (const name of names) {
        const devices = await listDevices(directory.client, keys.x25519, name, { signal: patience });
        all.push(...devices.map((entry) => ({ name, ...entry })));
      }
    } catch (error) {
      throw ownEndTrouble(keys, standing.binding.statement.expires, directory.now(), withDoctor([keys.name], error));
    }
    if (all.length === 0 && !hasSeen) throw nothingThere(keys.name, device);
    hasSeen = true;
    return flags.online === true ? all.filter(({ state }) => state === "online") : all;
  };
  return {
    ask,
    now: () => directory.client.directoryTime,
    note: (text: string) => progress.note(text),
  };
}

interface Names {
  readonly client: Name | undefined;
  /** Undefined: all that are known. */
  readonly device: Name | undefined;
}

function readNames(words: readonly string[]): Names {
  const defaults = readDefaults(process.env);
  const [first, second, third] = words;
  if (third !== undefined) throw usage(`${quoted(third)} is one name too many.`, USAGE);
  for (const word of words)
    if (!word.startsWith("@")) throw usage(`${quoted(word)} is not a name, which begins with @.`, USAGE);
  if (first === undefined) return defaults;
  if (second === undefined) return { client: defaults.client, device: parseName(first) };
  return { client: parseName(first), device: parseName(second) };
}

/** The client's own name, and those of the devices that it has met. */
async function knownNames(folder: Parameters<typeof listPins>[0], own: Name): Promise<Name[]> {
  const pins = await listPins(folder);
  return [...new Set([own, ...pins.map(({ name }) => name)])].sort();
}

function formOf({ output, json = false }: LsFlags): LsForm {
  if (json && output !== undefined && output !== "json") throw usage("--json and -o say two things.", USAGE);
  return json ? "json" : (output ?? (process.stdout.isTTY ? "table" : "tabs"));
}

function nothingThere(client: Name, device: Name | undefined): Error {
  if (device === undefined) {
    return new DeniedError(
      "E_UNKNOWN_NAME",
      `${client} may see no device of its own, nor of a name that this machine knows.`,
      {
        next: `Name whose devices to list: sshnp ls ${client} @device`,
      },
    );
  }
  return new DeniedError("E_UNKNOWN_NAME", `There is no device of ${device} that ${client} may see.`, {
    next: `Check the spelling. If the name is right, it may have no devices yet, or its policy may grant you none: ask the owner of ${device}.`,
  });
}

function usage(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}

const USAGE = "Usage: sshnp ls [@client] [@device] [-o table|wide|json|ndjson|name] [--online] [--watch]";
