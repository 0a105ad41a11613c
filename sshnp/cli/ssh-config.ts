import { realpath, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { parseName } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { printError } from "../../keys/print-error.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { DEFAULT_WAIT, parseKeysFolder, parseWait } from "../command-line.ts";
import { keysFolderOf, withSurroundingsStated } from "../destination.ts";
import { proxyOptions } from "../proxy-line.ts";
import { readDefaults } from "../settings.ts";
import { type Checked, checkSshConfig, knowsKnownHostsCommand } from "../ssh-config-check.ts";
import { controlPathIn, parseHostPattern, sshConfigBlock } from "../ssh-config-block.ts";
import { filesBeside, filesInHome, installBlock, type SshConfigFiles, uninstallBlock } from "../ssh-config-files.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { type DestinationFlags, withDestinationOptions, withWaitOption } from "./destination-options.ts";
import { runVerb } from "./run-verb.ts";

interface Flags extends DestinationFlags {
  readonly install?: boolean;
  readonly uninstall?: boolean;
  readonly check?: boolean;
  readonly hostPattern: string;
  readonly controlMaster: string;
  readonly client?: string;
  readonly file?: string;
}

/** `sshnp ssh-config ...`: leads ssh, and all that starts it, to devices. `main`: the path by which ssh can start us. */
export async function sshConfig(words: readonly string[], main: string): Promise<CommandEnd> {
  const command = new Command("sshnp ssh-config")
    .description(
      "Prints a block for ssh's configuration, with which ssh, scp, sftp, rsync, git and editors reach devices.",
    )
    .option("--install", "write it to ~/.ssh/config.d/sshnp, and an Include line to the top of ~/.ssh/config")
    .option("--uninstall", "take both away again")
    .option("--check", "ask ssh whether it is in force; 78 and what to mend if not")
    .option("--file <file>", "another configuration of ssh than ~/.ssh/config")
    .option("--host-pattern <pattern>", "for which hosts", "*.np")
    .option("--client <name>", "which client to be, when the keys folder has several")
    .option(
      "--control-master <yes|no>",
      "let all sessions with a device share one connection, for 60 s after the last",
      "yes",
    )
    .action(async (flags: Flags) => await act(flags, main));
  return await runVerb(withWaitOption(withDestinationOptions(command)), words);
}

async function act(flags: Flags, main: string): Promise<void> {
  const actions = [flags.install, flags.uninstall, flags.check].filter((action) => action === true);
  if (actions.length > 1) throw usage("Of --install, --uninstall and --check only one can be done.");
  const files = flags.file === undefined ? filesInHome(homeOfPasswd()) : filesBeside(resolve(flags.file));
  const checked = { files, arguments_: flags.file === undefined ? [] : ["-F", files.config] };
  const { signal } = new AbortController(); // ssh -G ends by itself
  if (flags.uninstall === true)
    return say(
      (await uninstallBlock(files)) ? `${shellWord(files.config)} is as it was.` : "There was nothing to take away.",
    );
  if (flags.check === true) return await tell(checked, signal);
  const text = await blockOf(flags, files, main, signal);
  if (flags.install !== true) return await printData(text);
  await installBlock(files, text);
  await tell(checked, signal);
}

async function tell(checked: Checked, signal: AbortSignal): Promise<void> {
  const problems = await checkSshConfig(checked, signal);
  for (const problem of problems) process.exitCode = printError("sshnp", problem);
  if (problems.length === 0) say(`${shellWord(checked.files.block)} is in force. Try it: ssh mygateway.device.np`);
}

async function blockOf(flags: Flags, files: SshConfigFiles, main: string, signal: AbortSignal): Promise<string> {
  const { wait, witness, witnesses, maxCheckpointAge } = flags;
  const stated = {
    client: flags.client === undefined ? readDefaults(process.env).client : parseName(flags.client),
    owner: undefined,
    directory: flags.directory === undefined ? undefined : parseDirectoryAddress(flags.directory).text,
    keys: flags.keys === undefined ? undefined : parseKeysFolder(flags.keys),
    witnesses: { witness, witnesses, maxCheckpointAge },
    waitSeconds: wait === undefined || wait === false ? 0 : parseWait(wait === true ? DEFAULT_WAIT : wait),
    ...(wait === false ? { neverWaits: true as const } : {}),
    pushKey: undefined,
    verbose: flags.verbose === true,
  };
  // Whoever starts ssh later may have other settings, or none.
  const destination = withSurroundingsStated(stated, process.env);
  const keys = keysFolderOf(destination);
  return sshConfigBlock({
    hostPattern: parseHostPattern(flags.hostPattern),
    proxy: [await nodeOnPath(), main, ...proxyOptions({ ...destination, keys })],
    keys,
    controlPath: isYes(flags.controlMaster) ? await controlPath(files) : undefined,
    waits: destination.waitSeconds > 0,
    knowsKnownHostsCommand: await knowsKnownHostsCommand(signal),
  });
}

/** Beside the configuration or, where that path is too long, in the runtime folder of the user's logins. */
async function controlPath(files: SshConfigFiles): Promise<string | undefined> {
  const runtime = `/run/user/${process.getuid?.() ?? ""}`;
  const isThere = await stat(runtime).then(
    (stats) => stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0,
    () => false,
  );
  const found = controlPathIn([dirname(files.config), ...(isThere ? [runtime] : [])]);
  if (found === undefined)
    say("No folder has a path short enough for control sockets: each ssh makes a connection of its own.");
  return found;
}

/** Node by the path that stays when it is updated, such as /usr/local/bin/node, where that is the one that runs this. */
async function nodeOnPath(): Promise<string> {
  for (const folder of (process.env["PATH"] ?? "").split(delimiter).filter((path) => isAbsolute(path))) {
    const path = join(folder, "node");
    if ((await realpath(path).catch(() => undefined)) === (await realpath(process.execPath))) return path;
  }
  return process.execPath;
}

function homeOfPasswd(): string {
  try {
    return userInfo().homedir;
  } catch (cause) {
    throw new SetupError("E_SSH_CONFIG", "This user is not in passwd, so that ssh has no home folder for it.", {
      next: "Name a configuration: sshnp ssh-config --install --file FILE",
      cause,
    });
  }
}

function isYes(text: string): boolean {
  if (text !== "yes" && text !== "no") throw usage("--control-master is yes or no.");
  return text === "yes";
}

function say(text: string): void {
  process.stderr.write(`sshnp: ${text}\n`);
}

function usage(fact: string): SetupError {
  return new SetupError("E_USAGE", fact, { next: "See: sshnp ssh-config --help" });
}
