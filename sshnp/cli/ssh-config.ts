import { realpath, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import { Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { parseName } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { printError } from "../../keys/print-error.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { withSurroundingsStated } from "../destination.ts";
import { proxyOptions } from "../proxy-line.ts";
import { makesSessionKey, readDefaults } from "../settings.ts";
import { type Checked, checkSshConfig, knowsKnownHostsCommand } from "../ssh-config-check.ts";
import { controlFolderOf, controlPathIn, parseHostPattern, readBlock, sshConfigBlock } from "../ssh-config-block.ts";
import {
  filesBeside,
  filesInHome,
  installBlock,
  readText,
  type SshConfigFiles,
  uninstallBlock,
} from "../ssh-config-files.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { type DestinationFlags, wayOf, withDestinationOptions, withWaitOption } from "./destination-options.ts";
import { runVerb } from "./run-verb.ts";

interface Flags extends DestinationFlags {
  readonly install?: boolean;
  readonly uninstall?: boolean;
  readonly check?: boolean;
  readonly hostPattern: string;
  readonly controlMaster: string;
  readonly client?: string;
  readonly sessionKey?: boolean;
  readonly file?: string;
}

/** `sshnp ssh-config ...`: leads ssh, and all that starts it, to devices. `main`: the path by which ssh can start us. */
export async function sshConfig(words: readonly string[], main: string): Promise<CommandEnd> {
  const command = new Command("sshnp ssh-config")
    .description(
      "Prints a block for ssh's configuration, with which ssh, scp, sftp, rsync, git and editors reach devices.",
    )
    .option("--install", "write it to ~/.ssh/config.d/sshnp, and an Include line to the top of ~/.ssh/config")
    .option("--uninstall", "take both away again; shared connections then take no more sessions")
    .option("--check", "ask ssh whether it is in force; 78 and what to mend if not")
    .option(
      "--file <file>",
      "another configuration of ssh than ~/.ssh/config; the block goes to config.d/sshnp beside it",
    )
    .option("--host-pattern <pattern>", "for which hosts", "*.np")
    .option("--client <name>", "which client to be, when the keys folder has several")
    .option("--session-key", "log in with keys made for each session, which devices certify, and with none of yours")
    .option("--no-session-key", "do not, whatever the settings say")
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
  if (flags.uninstall === true) return await uninstall(files);
  if (flags.check === true) return await tell(checked, signal);
  const text = await blockOf(flags, files, main, signal);
  if (flags.install !== true) return await printData(text);
  await installBlock(files, text);
  await tell(checked, signal);
}

async function uninstall(files: SshConfigFiles): Promise<void> {
  const block = await uninstallBlock(files);
  if (block === undefined) return say("There was nothing to take away.");
  say(`${shellWord(files.config)} is as it was.`);
  const folder = controlFolderOf(block);
  if (folder === undefined) return;
  const { stopSharing } = await import("../control-sockets.ts");
  const masters = await stopSharing(folder);
  if (masters > 0) say("Connections that ssh shared take no more sessions, and each ends with the last that it has.");
}

async function tell(checked: Checked, signal: AbortSignal): Promise<void> {
  const problems = await checkSshConfig(checked, signal);
  for (const problem of problems) process.exitCode = printError("sshnp", problem);
  if (problems.length > 0) return;
  const { hostPattern = "*.np" } = readBlock((await readText(checked.files.block)) ?? "") ?? {};
  const words = ["ssh", ...checked.arguments_, exampleHost(hostPattern)].map((word) => shellWord(word)).join(" ");
  say(`${shellWord(checked.files.block)} is in force. Try it: ${words}`);
}

/** A host that the pattern fits, of a name and device as everywhere in examples where it leaves that open. */
function exampleHost(hostPattern: string): string {
  const [member = "", name] = hostPattern.split(".").slice(0, -1);
  if (name === undefined) return "mygateway.device.np";
  const filled = (part: string, example: string): string => (part === "*" ? example : part.replace(/[*?]/g, "x"));
  return `${filled(member, "mygateway")}.${filled(name, "device")}.np`;
}

async function blockOf(flags: Flags, files: SshConfigFiles, main: string, signal: AbortSignal): Promise<string> {
  const defaults = readDefaults(process.env);
  const client = flags.client === undefined ? defaults.client : parseName(flags.client);
  // Whoever starts ssh later may have other settings, or none.
  const way = withSurroundingsStated(wayOf(flags, { client, owner: undefined }), process.env);
  const sessionKey = flags.sessionKey ?? makesSessionKey(defaults);
  // A path that is too long is refused here rather than by each ssh.
  if (sessionKey) (await import("../agent-path.ts")).pathBeside(`${way.keys}/state/agent.pi@mygateway.device.np`);
  return sshConfigBlock({
    hostPattern: parseHostPattern(flags.hostPattern),
    proxy: [await nodeOnPath(), main, ...proxyOptions({ ...way, sessionKey })],
    keys: way.keys,
    sessionKey,
    controlPath: isYes(flags.controlMaster) ? await controlPath(files) : undefined,
    waits: way.waitSeconds > 0,
    knowsKnownHostsCommand: await knowsKnownHostsCommand(signal),
  });
}

async function controlPath(files: SshConfigFiles): Promise<string | undefined> {
  const found = controlPathIn(await controlFolders(files));
  if (found === undefined)
    say("No folder has a path short enough for control sockets: each ssh makes a connection of its own.");
  return found;
}

/** Beside the configuration or, where that path is too long, in the runtime folder of the user's logins. */
async function controlFolders(files: SshConfigFiles): Promise<string[]> {
  const runtime = `/run/user/${process.getuid?.() ?? ""}`;
  const isThere = await stat(runtime).then(
    (stats) => stats.isDirectory() && stats.uid === process.getuid?.() && (stats.mode & 0o077) === 0,
    () => false,
  );
  return [dirname(files.config), ...(isThere ? [runtime] : [])];
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
