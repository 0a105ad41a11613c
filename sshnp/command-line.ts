import type { WitnessOptions } from "../directory/client.ts";
import { SetupError } from "../keys/errors.ts";
import { inVariable } from "../keys/in-variable.ts";
import { type MemberName, type Name, quoted } from "../keys/names.ts";
import type { Fingerprint } from "../keys/openssh.ts";
import { shellWord } from "../keys/shell-word.ts";
import { parseDirectoryAddress } from "../protocol/directory-address.ts";
import { WAIT_MS } from "../protocol/limits.ts";
import { noSuchOption } from "./no-such-option.ts";
import { type Defaults, makesSessionKey, NO_DEFAULTS } from "./settings.ts";
import { argumentOf, configurationOf, type SshOption, scanSshOptions, sshLetter } from "./ssh-options.ts";
import { parseLogin, readTarget } from "./target.ts";
import { isWitnessOption, withWitnessOption } from "./witness-options.ts";

/** Whom to reach, and with what of this machine. */
export interface Destination {
  /** Undefined: the only client in the keys folder. */
  readonly client: Name | undefined;
  readonly device: { readonly name: Name; readonly member: MemberName };
  /** Owner key of the device's name, as a person gave it. */
  readonly owner: Fingerprint | undefined;
  /** The account to log in to; empty when the command line does not say. */
  readonly login: string;
  /** The directory's address, when it is not the one in the key file. */
  readonly directory: string | undefined;
  /** The keys folder as given; undefined: SSHNP_KEYS or the default. */
  readonly keys: string | undefined;
  /** Which witnesses of the directory's log are demanded; undefined: those of SSHNP_WITNESSES, if it has any. */
  readonly witnesses?: WitnessOptions | undefined;
  /** How long to wait for an offline device; 0: not at all. */
  readonly waitSeconds: number;
  /** Not even where the settings of whoever runs the proxy say so. */
  readonly neverWaits?: true;
  /** Send the user's public key, of this identity file if one is given, for the device to admit. */
  readonly pushKey: { readonly identityFile: string | undefined } | undefined;
  /** Make a key for this session alone, for the device to certify. */
  readonly sessionKey?: boolean;
  readonly verbose: boolean;
}

/** `sshnp [options] [@client] @device [user@]member [ssh options] [command ...]`, understood. */
export interface SessionCommand {
  readonly destination: Destination;
  /** Print the ssh command line instead of running it. */
  readonly print: boolean;
  /** Log in with the built-in client instead of the system's ssh. */
  readonly native?: true;
  /** ssh's words ahead of the host, the `user@` in front of it, and all after it, the remote command included. */
  readonly ssh: {
    readonly before: readonly string[];
    readonly user: string;
    readonly after: readonly string[];
    /** Whether ssh is asked to forward an agent. */
    readonly forwardsAgent: boolean;
    /** Whether the words say something of shared connections (ControlMaster, ControlPath). */
    readonly sharesConnection: boolean;
    /** Whether these words leave it to ssh to ask for a terminal there: a shell, and no -t, -T or RequestTTY. */
    readonly leavesTerminal: boolean;
    /** What to add to `ssh -G` so that it reads the same configuration. */
    readonly configuration: readonly string[];
  };
  /** `tunnel`: one session for one ssh; `background`: ssh outlives its first process; `none`: ssh connects to nothing. */
  readonly needs: "tunnel" | "background" | "none";
}

/** Help or version was asked for. */
export type Question = "help" | "version";

/**
 * Reads the words of a session. Our own options, and ssh's, may stand ahead of the names; after the first name come the
 * other names and nothing else, so that a value put where a name belongs cannot become an option; after the device all
 * is ssh's.
 * @throws {SetupError} E_USAGE on anything else. Nothing was looked up, expanded or started by then.
 */
export function parseSessionCommand(
  words: readonly string[],
  defaults: Defaults = NO_DEFAULTS,
): SessionCommand | Question {
  const front = readFront(words, defaults);
  if (typeof front === "string") return front;
  const names = readTarget(words.slice(front.words), defaults, USAGE);
  if (front.ssh.length > 0 && words[front.words]?.startsWith("@") === true && names.words === 2) {
    const behind = words.slice(front.words);
    const line = [...front.kept, ...behind.slice(0, 2), ...front.ssh.flatMap(asTyped), ...behind.slice(2)];
    throw usage(
      "ssh's options stand ahead of a single name, where @client belongs.",
      `Put them after the device: ${["sshnp", ...line].map(shellWord).join(" ")}`,
    );
  }
  const after = words.slice(front.words + names.words);
  const scan = scanSshOptions(after);
  const given: SshOption[] = names.user === undefined ? [] : [{ letter: "l", value: names.user }];
  const stated = [...front.ssh, ...given, ...scan.options];
  const isStated = readLogin(stated) !== "";
  const user =
    isStated || defaults.user === undefined ? names.user : inVariable("SSHNP_USER", defaults.user, parseLogin);
  const options: SshOption[] = isStated || user === undefined ? stated : [...stated, { letter: "l", value: user }];
  const login = readLogin(options);
  refuseOtherWays(options);
  const identityFile = firstValue(options, "i", "identityfile");
  return {
    destination: {
      client: names.client,
      device: names.device,
      owner: names.owner,
      login,
      directory: front.directory,
      keys: front.keys,
      witnesses: front.witnesses,
      waitSeconds: front.waitSeconds,
      ...(front.neverWaits ? { neverWaits: true } : {}),
      pushKey: front.pushKey ? { identityFile } : undefined,
      ...(front.sessionKey ? { sessionKey: true } : {}),
      verbose: front.verbose,
    },
    print: front.print,
    ...(front.native && { native: true }),
    ssh: {
      before: front.ssh.map(({ letter, value }) => `-${letter}${value ?? ""}`),
      user: user ?? "",
      after,
      forwardsAgent: options.some(({ letter }) => letter === "A") || valuesOf(options, "", "forwardagent").length > 0,
      sharesConnection:
        options.some(({ letter }) => "MOS".includes(letter)) ||
        ["controlpath", "controlmaster"].some((key) => firstValue(options, "", key) !== undefined),
      leavesTerminal:
        after.length === scan.words && ["t", "T"].every((at) => firstValue(options, at, "requesttty") === undefined),
      configuration: options.flatMap(({ letter, value }) =>
        "Flo".includes(letter) ? [`-${letter}${value ?? ""}`] : [],
      ),
    },
    needs: needsOf(options),
  };
}

/** Seconds of `30`, `30s`, `10m` or `24h`. `from`: where it stands. @throws {SetupError} E_USAGE. */
export function parseWait(text: string, from = "--wait="): number {
  const [, number, unit = "s"] = /^([1-9][0-9]{0,5})([smh])?$/.exec(text) ?? [];
  const seconds = Number(number) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
  if (number === undefined || seconds * 1000 > WAIT_MS) {
    throw usage(`${from}${quoted(text)} is not a time of at most 24 hours.`, "Write it as 30s, 10m or 2h.");
  }
  return seconds;
}

/**
 * A time that stands apart from its `--wait` would be taken for a name. `index`: where the options of `words` end.
 * @throws {SetupError} E_USAGE where names follow it, so that it is none.
 */
export function refuseTimeApart(words: readonly string[], index: number): void {
  const [time = "", next] = words.slice(index);
  if (words[index - 1] !== "--wait" || next?.startsWith("@") !== true || !/^[0-9]+[smh]?$/.test(time)) return;
  throw usage(`${quoted(time)} stands where a name belongs.`, `If it is how long to wait, join them: --wait=${time}`);
}

/** `from`: where it stands. @throws {SetupError} E_USAGE when it is empty, looks like an option, or holds control characters. */
export function parseKeysFolder(text: string, from = "--keys "): string {
  // A path goes into files that ssh reads; and dollar-brace is a variable there, with no way to write it plainly.
  if (text === "" || text.startsWith("-") || /\p{Cc}|\$\{/u.test(text)) {
    throw usage(`${from}${quoted(text)} is no folder that can be used.`, "Give its path, such as ./keys.");
  }
  return text;
}

/** `--wait` without a time. */
export const DEFAULT_WAIT = "10m";

const USAGE = "Usage: sshnp [options] [@client] @device [user@]mygateway [ssh options] [command ...]; see sshnp --help";

function asTyped({ letter, value }: SshOption): string[] {
  return value === undefined ? [`-${letter}`] : [`-${letter}`, value];
}

interface Front {
  /** The words that are our own options. */
  readonly kept: readonly string[];
  readonly ssh: readonly SshOption[];
  readonly directory: string | undefined;
  readonly keys: string | undefined;
  readonly witnesses: WitnessOptions | undefined;
  readonly waitSeconds: number;
  readonly neverWaits: boolean;
  readonly pushKey: boolean;
  readonly sessionKey: boolean;
  readonly print: boolean;
  readonly native: boolean;
  readonly verbose: boolean;
  readonly words: number;
}

/** The options ahead of the names. In a word of several letters each is read on its own. */
function readFront(words: readonly string[], defaults: Defaults): Front | Question {
  const ssh: SshOption[] = [];
  let directory: string | undefined;
  let keys: string | undefined;
  let witnesses: WitnessOptions | undefined;
  let waitSeconds: number | undefined;
  let sessionKey: boolean | undefined;
  const own = new Set<string>();
  const kept: string[] = [];
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index] ?? "";
    if (!word.startsWith("-") || word === "-") break;
    if (word === "--") {
      index++;
      break;
    }
    if (word === "--help" || word === "-h") return "help";
    // Ahead of a device it is ssh's own, which tells its version.
    if (word === "--version" || (word === "-V" && words.length === 1)) return "version";
    const [, name = "", joined] = /^--([a-z-]+)(?:=(.*))?$/s.exec(word) ?? [];
    const start = index;
    if (word === "--no-wait") waitSeconds = 0;
    else if (word === "--native") own.add(name);
    else if (name === "wait") waitSeconds = parseWait(joined ?? DEFAULT_WAIT);
    else if (name === "directory")
      directory = parseDirectoryAddress(joined ?? argumentOf("-directory", words[++index])).text;
    else if (name === "keys") keys = parseKeysFolder(joined ?? argumentOf("-keys", words[++index]));
    else if (/^--(?:no-)?session-key$/.test(word)) sessionKey = word === "--session-key";
    else if (isWitnessOption(name))
      witnesses = withWitnessOption(witnesses, name, joined ?? argumentOf(`-${name}`, words[++index]));
    else if (name === "profile") throw usage("--profile stands ahead of all other words.", "sshnp --profile NAME ...");
    else if (word.startsWith("--")) throw noSuchOption(word, name, USAGE);
    else index += readLetters(word, words[index + 1], own, ssh);
    if (word.startsWith("--")) kept.push(...words.slice(start, index + 1));
  }
  refuseTimeApart(words, index);
  sessionKey ??= makesSessionKey(defaults);
  const native = own.has("native");
  const flags = { native, sessionKey, pushKey: own.has("s"), print: own.has("x"), verbose: own.has("v") };
  kept.push(...["s", "x", "v"].filter((letter) => own.has(letter)).map((letter) => `-${letter}`));
  const neverWaits = waitSeconds === 0;
  waitSeconds ??= defaults.wait === undefined ? 0 : parseWait(defaults.wait, "SSHNP_WAIT=");
  return { kept, ssh, directory, keys, witnesses, waitSeconds, neverWaits, ...flags, words: index };
}

/** Sorts the letters of one word into ours and ssh's; returns how many further words they took. */
function readLetters(word: string, next: string | undefined, own: Set<string>, ssh: SshOption[]): number {
  for (let at = 1; at < word.length; at++) {
    const letter = word[at] ?? "";
    const kind = sshLetter(letter);
    if ("sxv".includes(letter)) own.add(letter);
    else if (kind === "unknown") throw usage(`${quoted(`-${letter}`)} is an option of neither sshnp nor ssh.`, USAGE);
    else if (kind === "flag") ssh.push({ letter, value: undefined });
    else {
      const rest = word.slice(at + 1);
      ssh.push({ letter, value: rest === "" ? argumentOf(letter, next) : rest });
      return rest === "" ? 1 : 0;
    }
  }
  return 0;
}

/** The account, which is the first that is named: ssh takes the first value of everything. @throws {SetupError} E_USAGE. */
export function readLogin(options: readonly SshOption[]): string {
  const logins = valuesOf(options, "l", "user").map((login) => parseLogin(login));
  return logins[0] ?? "";
}

/** Refuses what would lead ssh elsewhere: it stands behind our own options, so ssh would pass it over. @throws {SetupError} E_USAGE. */
export function refuseOtherWays(options: readonly SshOption[]): void {
  for (const { letter, value = "" } of options) {
    const key = letter === "o" ? configurationOf(value)?.key : undefined;
    if (letter === "J" || key === "proxycommand" || key === "proxyjump" || key === "proxyusefdpass") {
      throw usage("The way to the device is sshnp's; -J, ProxyCommand and ProxyJump have no place in it.", USAGE);
    }
  }
  for (const port of valuesOf(options, "p", "port")) {
    if (port === "22") continue;
    throw usage(
      `Port ${quoted(port)} cannot be asked for: the daemon on the device knows where its SSH server listens.`,
      "On the device: sshnpd --ssh-port PORT",
    );
  }
}

function needsOf(options: readonly SshOption[]): SessionCommand["needs"] {
  if (options.some(({ letter }) => "GVQO".includes(letter))) return "none";
  const forks = valuesOf(options, "", "forkafterauthentication").some((value) => /^(?:yes|true)$/i.test(value));
  return forks || options.some(({ letter }) => letter === "f") ? "background" : "tunnel";
}

/** All values of an option, given by letter or as `-o KEY=VALUE`. */
function valuesOf(options: readonly SshOption[], letter: string, key: string): string[] {
  return options.flatMap((option) => {
    if (option.letter === letter) return [option.value ?? ""];
    const configuration = option.letter === "o" ? configurationOf(option.value ?? "") : undefined;
    return configuration?.key === key ? [configuration.value] : [];
  });
}

function firstValue(options: readonly SshOption[], letter: string, key: string): string | undefined {
  return valuesOf(options, letter, key)[0];
}

function usage(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}
