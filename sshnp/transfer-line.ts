import type { WitnessOptions } from "../directory/client.ts";
import { SetupError } from "../keys/errors.ts";
import { inVariable } from "../keys/in-variable.ts";
import { hostName, quoted } from "../keys/names.ts";
import { parseDirectoryAddress } from "../protocol/directory-address.ts";
import type { Asked } from "./attempt.ts";
import {
  DEFAULT_WAIT,
  type Destination,
  parseKeysFolder,
  parseWait,
  readLogin,
  refuseOtherWays,
  refuseTimeApart,
} from "./command-line.ts";
import { type Defaults, makesSessionKey } from "./settings.ts";
import { argumentOf, scanSshOptions, type SshOption } from "./ssh-options.ts";
import type { SshProgram } from "./ssh-process.ts";
import { parseLogin, readTarget, type Target } from "./target.ts";
import { isWitnessOption, withWitnessOption } from "./witness-options.ts";

export type TransferProgram = Exclude<SshProgram, "ssh">;

/** `sshnp cp|rsync|sftp [options] [@client] [@device] WORDS`, understood. */
export interface TransferCommand {
  readonly destination: Destination;
  /** The program's words, with host names of ssh for devices, and without rsync's `-e`. */
  readonly words: readonly string[];
  /** What of a command line for ssh rsync was given with `-e`, as it was typed. */
  readonly sshWords: string;
  /** What to add to `ssh -G` so that it reads the same configuration. */
  readonly configuration: readonly string[];
  readonly asked: Asked;
}

/**
 * Reads the words after a verb. Our own options, long ones all, come first, then names, then what the program takes:
 * options, and operands of which `[user@]mygateway:PATH` or `[user@]mygateway.device.np:PATH` is on the device (for sftp
 * without `:PATH` as well). All of them must be on one device, for the way to it is part of the command line.
 * @throws {SetupError} E_USAGE on anything else. Nothing was looked up, expanded or started by then.
 */
export function parseTransfer(
  program: TransferProgram,
  words: readonly string[],
  defaults: Defaults,
): TransferCommand | "help" {
  const front = readOwn(words, defaults);
  if (front === "help") return "help";
  const given = words.slice(front.words);
  const { names, options, others, operands } = readGiven(program, given);
  const forSsh = options.flatMap((option) => sshOption(program, option));
  refuseOtherWays(forSsh);
  const sshWords = remoteShell(program, options);
  let target: Target | undefined;
  const hosts = new Set<string>();
  const rewritten = operands.map((operand) => {
    const [, host, path = ""] = REMOTE[program].exec(operand) ?? [];
    if (host === undefined) return operand;
    const found = readTarget([...names, host], defaults, USAGE[program]);
    target ??= found;
    hosts.add(operand);
    if (hostName(found.device) !== hostName(target.device)) {
      throw failure("Two devices are named.", "Copy from one to this machine first, then to the other.");
    }
    const user = found.user ?? userOf(defaults);
    return `${user === undefined ? "" : `${user}@`}${hostName(found.device)}${path}`;
  });
  if (target === undefined) throw failure("Nothing in the command line is on a device.", USAGE[program]);
  const { client, device, owner } = target;
  const user = target.user ?? userOf(defaults);
  // ssh takes the first that is said, and the words for it stand ahead of the operands.
  const stated = [...forSsh, ...scanSshOptions(sshWords.split(/ +/).filter(Boolean)).options];
  const login = readLogin(stated) || (user ?? "");
  const { words: _, ...own } = front;
  const named = owner !== undefined || names.at(-1) === device.name ? names.at(-1) : undefined;
  return {
    destination: { client, device, owner, login, ...own, pushKey: undefined, verbose: false },
    words: [...others, "--", ...rewritten],
    sshWords,
    configuration: stated.flatMap(({ letter, value }) => ("Flo".includes(letter) ? [`-${letter}${value ?? ""}`] : [])),
    asked: {
      verb: VERB[program],
      after: [],
      words: (other) =>
        given.map((word) => {
          if (!hosts.has(word)) return word === named ? word.replace(/^@[^=]+/, other.name) : word;
          return word.replace(HOST, (host) => (host.includes(".") ? hostName(other) : other.member));
        }),
    },
  };
}

/** Of `[user@]host:path`. */
const HOST = /(?<=^(?:[^@:]*@)?)[^@:]+(?=:|$)/;

function userOf({ user }: Defaults): string | undefined {
  return user === undefined ? undefined : inVariable("SSHNP_USER", user, parseLogin);
}

/**
 * Names, then what the program takes; or its options ahead of the names as well, where a device needs them: a word that begins with @
 * may be a file beside a whole host name.
 */
function readGiven(program: TransferProgram, given: readonly string[]): Scan & { readonly names: readonly string[] } {
  const names = given.slice(0, 2).filter((word, at) => word.startsWith("@") && (at === 0 || given[0]?.startsWith("@")));
  const first = scan(program, given.slice(names.length));
  const { options, others, operands } = first;
  const late = operands.findIndex((word) => !LATE_NAME.test(word));
  if (names.length > 0 || first.isClosed || late < 1 || late > 2) return { ...first, names };
  const rest = operands.slice(late);
  if (rest.some((operand) => REMOTE[program].exec(operand)?.[1]?.includes("."))) return { ...first, names };
  const more = program === "rsync" ? { options: [], others: [], operands: rest } : scan(program, rest);
  return {
    names: operands.slice(0, late),
    options: [...options, ...more.options],
    others: [...others, ...more.others],
    operands: more.operands,
    isClosed: true,
  };
}

const LATE_NAME = /^@[^/:]+$/;

const VERB: Readonly<Record<TransferProgram, string>> = { scp: "cp", rsync: "rsync", sftp: "sftp" };

const USAGE: Readonly<Record<TransferProgram, string>> = {
  scp: "Usage: sshnp cp [@client] @device FILE mygateway:PATH; see sshnp cp --help",
  rsync: "Usage: sshnp rsync [@client] @device FOLDER mygateway:PATH; see sshnp rsync --help",
  sftp: "Usage: sshnp sftp [@client] @device mygateway[:PATH]; see sshnp sftp --help",
};

/** What is on another machine, by the rule of each program: a colon with no slash ahead of it. */
const REMOTE: Readonly<Record<TransferProgram, RegExp>> = {
  scp: /^([^:/[\]]+)(:.*)$/s,
  rsync: /^([^:/[\]]+)(:.*)$/s,
  sftp: /^([^:/[\]]+)(:.*)?$/s,
};

/** Letters that take an argument (scp.c and sftp.c of OpenSSH 9.2 to 10.2; rsync 3.2 to 3.4). */
const WITH_ARGUMENT: Readonly<Record<TransferProgram, string>> = {
  scp: "cDFiJloPSX",
  sftp: "BbcDFiJloPRSsX",
  rsync: "BeMTf@",
};

/** Of rsync: those that may have their argument in the next word. */
const LONG_WITH_ARGUMENT: ReadonlySet<string> = new Set(
  (
    "address backup-dir block-size bwlimit checksum-choice checksum-seed chmod chown compare-dest compress-choice compress-level " +
    "compress-threads contimeout copy-as copy-dest debug early-input exclude exclude-from files-from filter groupmap iconv include " +
    "include-from info link-dest log-file log-file-format max-alloc max-delete max-size min-size modify-window only-write-batch " +
    "out-format outbuf partial-dir password-file port protocol read-batch remote-option rsh rsync-path skip-compress sockopts " +
    "stderr stop-after stop-at suffix temp-dir time-limit timeout usermap write-batch"
  ).split(" "),
);

interface Option {
  /** A letter, or `--word`. */
  readonly name: string;
  readonly value: string | undefined;
}

interface Scan {
  readonly options: readonly Option[];
  /** The words of all options but `-e` and `--rsh`. */
  readonly others: readonly string[];
  readonly operands: readonly string[];
  /** Whether `--` was among the words. */
  readonly isClosed: boolean;
}

/** scp and sftp take options up to the first operand, rsync anywhere. */
function scan(program: TransferProgram, words: readonly string[]): Scan {
  const options: Option[] = [];
  const others: string[] = [];
  const operands: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const isOption = word.startsWith("-") && word !== "-" && (program === "rsync" || operands.length === 0);
    if (word === "--" && isOption)
      return { options, others, operands: [...operands, ...words.slice(index + 1)], isClosed: true };
    if (!isOption) {
      operands.push(word);
      continue;
    }
    const found = word.startsWith("--")
      ? longOption(program, word, words[index + 1])
      : letters(program, word, words[index + 1]);
    options.push(...found.options);
    others.push(...found.others);
    index += found.further;
  }
  return { options, others, operands, isClosed: false };
}

interface Found {
  readonly options: readonly Option[];
  readonly others: readonly string[];
  /** How many further words it took. */
  readonly further: number;
}

function longOption(program: TransferProgram, word: string, next: string | undefined): Found {
  const [, name = "", joined] = /^--([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
  if (program !== "rsync")
    throw failure(
      `${program} has no option ${quoted(word)}.`,
      `sshnp's own options stand ahead of the names; see sshnp ${VERB[program]} --help`,
    );
  const isApart = joined === undefined && LONG_WITH_ARGUMENT.has(name);
  const value = isApart ? argumentOf(`-${name}`, next) : joined;
  const others = name === "rsh" ? [] : isApart ? [word, value ?? ""] : [word];
  return { options: [{ name: `--${name}`, value }], others, further: isApart ? 1 : 0 };
}

function letters(program: TransferProgram, word: string, next: string | undefined): Found {
  const options: Option[] = [];
  for (let at = 1; at < word.length; at++) {
    const name = word[at] ?? "";
    if (!WITH_ARGUMENT[program].includes(name)) {
      options.push({ name, value: undefined });
      continue;
    }
    const rest = word.slice(at + 1);
    const value = rest === "" ? argumentOf(name, next) : rest;
    options.push({ name, value });
    const further = rest === "" ? 1 : 0;
    if (program === "rsync" && name === "e") {
      return { options, others: at === 1 ? [] : [word.slice(0, at)], further };
    }
    return { options, others: rest === "" ? [word, value] : [word], further };
  }
  return { options, others: [word], further: 0 };
}

/** What the option is to ssh, where it is one for ssh. @throws {SetupError} E_USAGE for one that replaces ssh. */
function sshOption(program: TransferProgram, { name, value }: Option): SshOption[] {
  if (program === "rsync") return [];
  if ("SD".includes(name))
    throw failure(`-${name} has no place here: ssh is what leads to the device.`, USAGE[program]);
  if (name === "P") return [{ letter: "p", value }];
  return "Jo".includes(name) ? [{ letter: name, value }] : [];
}

/** @throws {SetupError} E_USAGE when it is not ssh that is to be started. */
function remoteShell(program: TransferProgram, options: readonly Option[]): string {
  const given =
    program === "rsync" ? options.findLast(({ name }) => name === "e" || name === "--rsh")?.value : undefined;
  const [, words] = /^ *ssh(?: +(.*))?$/s.exec(given ?? "ssh") ?? [];
  if (words === undefined && given !== undefined && !/^ *ssh *$/.test(given)) {
    throw failure(
      `rsync cannot go to a device by ${quoted(given)}.`,
      "With -e only options for ssh can be given: -e 'ssh -i FILE'",
    );
  }
  return words ?? "";
}

interface Own {
  readonly directory: string | undefined;
  readonly keys: string | undefined;
  readonly witnesses: WitnessOptions | undefined;
  readonly waitSeconds: number;
  readonly sessionKey: boolean;
  readonly words: number;
}

function readOwn(words: readonly string[], defaults: Defaults): Own | "help" {
  let directory: string | undefined;
  let keys: string | undefined;
  let witnesses: WitnessOptions | undefined;
  let waitSeconds = defaults.wait === undefined ? 0 : parseWait(defaults.wait, "SSHNP_WAIT=");
  let sessionKey = makesSessionKey(defaults);
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index] ?? "";
    const [, name = "", joined] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const value = (): string => joined ?? argumentOf(`-${name}`, words[++index]);
    if (word === "--help") return "help";
    if (word === "--no-wait") waitSeconds = 0;
    else if (/^--(?:no-)?session-key$/.test(word)) sessionKey = word === "--session-key";
    else if (name === "wait") waitSeconds = parseWait(joined ?? DEFAULT_WAIT);
    else if (name === "directory") directory = parseDirectoryAddress(value()).text;
    else if (name === "keys") keys = parseKeysFolder(value());
    else if (isWitnessOption(name)) witnesses = withWitnessOption(witnesses, name, value());
    else break;
  }
  refuseTimeApart(words, index);
  return { directory, keys, witnesses, waitSeconds, sessionKey, words: index };
}

function failure(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}
