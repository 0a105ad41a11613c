import { execFile } from "node:child_process";
import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { shellWord } from "../keys/shell-word.ts";
import { hasInclude } from "./include-line.ts";
import { noSshBinary } from "./setup-texts.ts";
import { readBlock, sampleHost } from "./ssh-config-block.ts";
import { readText, type SshConfigFiles } from "./ssh-config-files.ts";

const execute = promisify(execFile);

/** What ssh itself makes of its configuration, for one host. */
type Settings = ReadonlyMap<string, readonly string[]>;

/** A configuration to look at. */
export interface Checked {
  readonly files: SshConfigFiles;
  /** `-F FILE` when it is not the one that ssh reads by itself. */
  readonly arguments_: readonly string[];
}

/**
 * Asks ssh, by `ssh -G`, whether the installed block is in force, and returns what is wrong: nothing if all is well.
 * `signal` ends the asking; so do ASK_MS.
 * @throws {SetupError} E_NO_SSH, E_STORAGE.
 */
export async function checkSshConfig({ files, arguments_ }: Checked, signal: AbortSignal): Promise<SetupError[]> {
  const { config, block } = files;
  const command = `sshnp ssh-config --install${arguments_.length === 0 ? "" : ` --file ${shellWord(config)}`}`;
  const install = `Write it: ${command}`;
  const text = await readText(block);
  if (text === undefined) return [wrong(`There is no block for ssh at ${shellWord(block)}.`, install)];
  const ours = readBlock(text);
  if (ours === undefined)
    return [wrong(`${shellWord(block)} was changed by somebody, or is not of sshnp's making.`, install)];
  const host = sampleHost(ours.hostPattern);
  const wanted = await askSsh(["-F", block], host, signal);
  if (typeof wanted === "string")
    return [wrong(`ssh does not take the block in ${shellWord(block)}: ${quoted(wanted, 300)}`, install)];
  const problems = await missingFiles(wanted, install);
  const includes = hasInclude((await readText(config)) ?? "");
  const actual = await askSsh(arguments_, host, signal);
  if (typeof actual === "string") {
    const next = "Mend what it complains of; as long as it stands, no ssh works.";
    return [...problems, wrong(`ssh refuses its configuration: ${quoted(actual, 300)}`, next)];
  }
  const differing = ours.keys.filter((key) => valueOf(actual, key) !== valueOf(wanted, key));
  if (differing.length === 0) return problems;
  if (!includes) return [...problems, wrong(`${shellWord(config)} does not include ${shellWord(block)}.`, install)];
  const told = differing.map((key) => `${key} ${quoted(valueOf(actual, key) ?? "none")}`).join(", ");
  return [
    ...problems,
    wrong(
      `For ${ours.hostPattern} ssh takes values that are not sshnp's: ${told}.`,
      `ssh takes the first value that it reads. Put the Include line to the top of ${shellWord(config)} again: ${command}`,
    ),
  ];
}

/** Whether the system's ssh takes KnownHostsCommand. @throws {SetupError} E_NO_SSH. */
export async function knowsKnownHostsCommand(signal: AbortSignal): Promise<boolean> {
  const answer = await askSsh(["-F", "none", "-o", "KnownHostsCommand=none"], "x.np", signal);
  return typeof answer !== "string";
}

/** `Match exec` of somebody's configuration may take its time, or hang. */
const ASK_MS = 10_000;

/** The settings, or ssh's own words when it has none to give. */
async function askSsh(arguments_: readonly string[], host: string, signal: AbortSignal): Promise<Settings | string> {
  try {
    const { stdout } = await execute("ssh", [...arguments_, "-G", host], { signal, timeout: ASK_MS });
    const settings = new Map<string, string[]>();
    for (const line of stdout.split("\n")) {
      const space = line.indexOf(" ");
      const key = line.slice(0, space);
      settings.set(key, [...(settings.get(key) ?? []), line.slice(space + 1)]);
    }
    return settings;
  } catch (error) {
    if (signal.aborted) throw error;
    if (!isFailure(error) || typeof error.code === "string") throw noSshBinary(error);
    return error.killed ? `no answer within ${ASK_MS / 1000} s` : error.stderr.trim().replace(/\s+/g, " ");
  }
}

/**
 * A control socket's path ends with a hash of the user's name too, which is the configuration's own affair; and so are the files
 * that it adds below the first IdentityFile, which ssh keeps all.
 */
function valueOf(settings: Settings, key: string): string | undefined {
  const values = settings.get(key)?.slice(0, key === "identityfile" ? 1 : undefined);
  return values?.join("\n").replace(/[0-9a-f]{40}$/, "%C");
}

/** What the block names, and is not there: an update may have moved it. */
async function missingFiles(settings: Settings, install: string): Promise<SetupError[]> {
  const problems: SetupError[] = [];
  const [program = "", main = ""] = shellWords(settings.get("proxycommand")?.[0] ?? "");
  for (const [path, mode] of [
    [program, constants.X_OK],
    [main, constants.R_OK],
  ] as const) {
    const isThere = await access(path, mode).then(
      () => true,
      () => false,
    );
    if (!isThere)
      problems.push(wrong(`The block starts ${shellWord(path)}, which is not there or cannot be run.`, install));
  }
  const control = settings.get("controlpath")?.[0];
  if (control === undefined || control === "none") return problems;
  const folder = await stat(dirname(control)).catch(() => undefined);
  if (folder?.isDirectory() !== true) {
    problems.push(wrong(`The folder for control sockets, ${shellWord(dirname(control))}, is not there.`, install));
  }
  return problems;
}

/** The first two words of a command line that shellCommand has made, its `%` doubled. */
function shellWords(line: string): string[] {
  const words = [...line.matchAll(/(?:[^\s'\\]|\\.|'[^']*')+/g)].slice(0, 2);
  return words.map(([word]) => word.replace(/'([^']*)'|\\(.)/g, "$1$2").replaceAll("%%", "%"));
}

function wrong(fact: string, next: string): SetupError {
  return new SetupError("E_SSH_CONFIG", fact, { next });
}

/** How execFile rejects: `code` is a word when nothing could be started. */
function isFailure(error: unknown): error is Error & { code: unknown; killed: boolean; stderr: string } {
  return error instanceof Error && "code" in error && "stderr" in error && "killed" in error;
}
