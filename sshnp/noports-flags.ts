import { SetupError } from "../keys/errors.ts";
import { parseMember, parseName, quoted } from "../keys/names.ts";
import { parseLogin } from "./target.ts";
import { sshLetter } from "./ssh-options.ts";
import { flagOf, type Meaning, type NoPortsFlag, type NoPortsWords, readNoPortsWords } from "./noports-words.ts";

/*
 * The command lines of NoPorts' sshnp and npt (reference: their usage texts of 2024 to 2026) in words of ours, for people whose
 * fingers know them. Nothing is passed over in silence: an option works, or a line says why nobody needs it, or it is
 * refused with what replaces it.
 */

/** A command line of ours that does the same. */
export interface Translation {
  readonly words: readonly string[];
  /** What to tell of options that nobody needs here, a line each. */
  readonly notes: readonly string[];
}

/** The words of NoPorts' sshnp as words of ours; undefined when they are none of its. @throws {SetupError} E_USAGE. */
export function fromNoPorts(words: readonly string[]): Translation | undefined {
  if (!isNoPorts(words, SSHNP_FLAGS)) return undefined;
  const line = readNoPortsWords(words, SSHNP_FLAGS);
  const has = (name: string): boolean => line.values(name).length > 0;
  const { own, notes } = line;
  if (has("--help")) return { words: ["--help"], notes };
  if (has("--version")) return { words: ["--version"], notes };
  if (has("--list-devices")) {
    const device = nameIn(line, "--to");
    const client = nameIn(line, "--from");
    // One name alone would be whose devices to list.
    if (device.length > 0) return { words: ["ls", ...own, ...client, ...device], notes };
    const ignored = client.map(
      (name) => `-f ${name} has no effect: without -t, sshnp ls lists for SSHNP_CLIENT, or for the only client here.`,
    );
    return { words: ["ls", ...own], notes: [...notes, ...ignored] };
  }
  const user = line.value("--remote-user-name");
  return {
    words: [
      ...(has("--output-execution-command") ? ["-x"] : []),
      ...(has("--send-ssh-public-key") ? ["-s"] : []),
      ...(has("--verbose") ? ["-v"] : []),
      ...own,
      ...whom(line, user),
      ...line
        .values("--identity-file")
        .slice(-1)
        .flatMap((file) => ["-i", file]),
      ...line.values("--local-ssh-options").flatMap(sshWords),
    ],
    notes,
  };
}

/** The words of NoPorts' npt as the words that stand after `sshnp forward`. @throws {SetupError} E_USAGE. */
export function fromNpt(words: readonly string[]): Translation {
  const line = readNoPortsWords(words, NPT_FLAGS);
  const { own, notes } = line;
  const has = (name: string): boolean => line.values(name).length > 0;
  if (has("--help")) return { words: ["--help"], notes };
  const bind = line.value("--local-host");
  const port = line.value("--remote-port");
  const localPort = line.value("--local-port") ?? "0";
  if (!/^[0-9]+$/.test(localPort) || bind?.startsWith("-") === true) {
    throw new SetupError("E_USAGE", `${quoted(bind ?? localPort)} is no end of a tunnel on this machine.`, {
      next: "Give a port, and an address of this machine if it is to be another than 127.0.0.1.",
    });
  }
  const forward = [
    ...(bind === undefined || bind === "localhost" ? [] : [bracketed(bind)]),
    localPort,
    bracketed(line.value("--remote-host") ?? "localhost"),
    ...(port === undefined ? [] : [port]),
  ];
  const timeout = idleTime(line.value("--timeout"));
  return {
    words: [
      ...(has("--verbose") ? ["-v"] : []),
      ...(has("--keep-alive") ? ["--keep-alive"] : []),
      ...(timeout === undefined ? [] : [`--timeout=${timeout}`]),
      ...own,
      ...whom(line, undefined),
      ...(port === undefined ? [] : [forward.join(":")]),
    ],
    notes,
  };
}

/**
 * Whether a command line is one of NoPorts', by what no line of ours has ahead of the names: a letter or a word that neither
 * sshnp nor ssh knows; or `-f` or `-t`, which are ssh's too, with a name behind and no further one.
 */
export function isNoPorts(words: readonly string[], flags: readonly NoPortsFlag[]): boolean {
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (!word.startsWith("-") || word === "-" || word === "--") return false;
    const [name = ""] = word.startsWith("--") ? word.split("=") : [word.slice(0, 2)];
    const flag = flagOf(name, flags);
    const next = words[index + 1] ?? "";
    if (name.startsWith("--")) {
      if (flag !== undefined && !SHARED.has(name)) return true;
      if (TAKES_VALUE.test(word)) index++;
      continue;
    }
    const value = word.length > 2 ? word.slice(2) : next;
    if ((name === "-f" || name === "-t") && value.startsWith("@")) {
      const behind = words[index + (word.length > 2 ? 1 : 2)];
      return behind === undefined || behind.startsWith("-");
    }
    if (name === "-h" ? value.startsWith("@") : flag !== undefined && sshLetter(name[1] ?? "") === "unknown")
      return true;
    if (word.length === 2 && sshLetter(name[1] ?? "") === "argument") index++;
  }
  return false;
}

/** Both have them, and mean the same. */
const SHARED: ReadonlySet<string> = new Set(["--help", "--version"]);
const TAKES_VALUE = /^--(?:directory|keys|witness|witnesses|max-checkpoint-age)$/;

/** `[@client] [@device] [user@]mygateway`; NoPorts calls a device `default` that is not called anything. */
function whom(line: NoPortsWords, user: string | undefined): string[] {
  const member = (line.value("--device") ?? "default").toLowerCase().replaceAll(" ", "_");
  const device = user === undefined ? parseMember(member) : `${parseLogin(user)}@${parseMember(member)}`;
  return [...nameIn(line, "--from"), ...nameIn(line, "--to"), device];
}

/** What becomes a word of ours must be no option there. */
function nameIn(line: NoPortsWords, which: string): string[] {
  const name = line.value(which);
  return name === undefined ? [] : [parseName(name)];
}

/** A value of `-o`: an option of ssh with its dash, or KEY=VALUE. */
function sshWords(value: string): string[] {
  const text = value.trim();
  return text.startsWith("-") ? text.split(/\s+/) : ["-o", text];
}

/** A time without connections as `--timeout` has it, of `30s`, `1d` or `1h,14m`; undefined: none, or 0, which is no end. */
function idleTime(text: string | undefined): string | undefined {
  const parts = text?.split(",").map((part) => /^([0-9]{1,7})([dhms]?)$/.exec(part.trim())) ?? [];
  if (text === undefined || parts.some((part) => part === null)) return text; // refused with what is right
  const seconds = parts.reduce((sum, part) => sum + Number(part?.[1]) * SECONDS[(part?.[2] || "s") as "s"], 0);
  if (seconds === 0) return undefined;
  const unit = (["h", "m"] as const).find((each) => seconds % SECONDS[each] === 0) ?? "s";
  return `${seconds / SECONDS[unit]}${unit}`;
}

const SECONDS = { d: 86_400, h: 3_600, m: 60, s: 1 } as const;

function bracketed(host: string): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]` : host;
}

const ALWAYS: Meaning = { unneeded: "has no effect: it is always so." };
const NEVER: Meaning = {
  fact: "Both ends always prove themselves, to each other and to the rendezvous, and all is encrypted from end to end.",
  instead: "Leave the option out; there is no way to switch it off.",
};
const RENDEZVOUS: Meaning = { unneeded: "has no effect: the directory names the rendezvous." };
const ROOT: Meaning = {
  fact: "There is no root server: a directory is one address, and the fingerprint of its key stands in it.",
  instead: "sshnp --directory http(s)://HOST:PORT#SHA256:..., once and for all in ~/.config/sshnp/config.toml",
};
const KEY_FILE: Meaning = {
  fact: "Key files of NoPorts are not read: keys are made on the machine that uses them.",
  instead: "Activate or enrol the client, see sshnp-keys --help; --keys FOLDER says where its keys are.",
};
const PASSPHRASE: Meaning = {
  fact: "A passphrase is not taken from the command line, where everybody on the machine reads it.",
  instead: "It is asked for; or name a file that holds it: SSHNP_PASSPHRASE_FILE=FILE",
};
const PING: Meaning = {
  unneeded: "has no effect: no ping comes first, and a device that is offline is known at once.",
};
const QUIET: Meaning = { unneeded: "has no effect: nothing is told but what somebody must know." };
const PORT_443: Meaning = {
  unneeded: "has no effect: the directory says where a rendezvous is reached, on port 443 if it listens there.",
};

const LOCAL_PORT: Meaning = {
  fact: "-l names no port here: ssh is joined to the session, and no port of this machine stands between them.",
  instead: "Leave it out. To forward a port: sshnp @device mygateway -N -L 8080:localhost:80",
};
const SSHD_PORT: Meaning = {
  fact: "The daemon on the device knows where its SSH server listens.",
  instead: "On the device: sshnpd --ssh-port PORT",
};
const SSH_CLIENT: Meaning = {
  fact: "The ssh of this machine is used, or a client of our own.",
  instead: "Leave it out; for our own client: sshnp --native @device mygateway",
};
const PROFILE: Meaning = {
  fact: "Profiles of NoPorts are not read as they are.",
  instead: "Once: sshnp profile import FILE; from then on: sshnp --profile NAME @device mygateway",
};

/** What names the two ends and the keys, as both commands have it. */
const COMMON: readonly NoPortsFlag[] = [
  option("--help", false, "works"),
  option("--key-file -k", true, KEY_FILE),
  option("--pass-phrase -P", true, PASSPHRASE),
  option("--from -f", true, "works"),
  option("--to -t", true, "works"),
  option("--device -d", true, "works"),
  option("--root-domain", true, ROOT),
  option("--daemon-ping-timeout --dpt", true, PING),
  option("--encrypt-rvd-traffic --et", false, ALWAYS),
  option("--no-encrypt-rvd-traffic --no-et", false, NEVER),
  option("--443", false, PORT_443),
  option("--relay-auth-mode", true, ALWAYS),
  option("--verbose -v", false, "works"),
  option("--quiet -q", false, QUIET),
];

/** Every option of NoPorts' sshnp. */
export const SSHNP_FLAGS: readonly NoPortsFlag[] = [
  ...COMMON,
  option("--version", false, "works"),
  option("--srvd -r --rvd --rv --host -h", true, RENDEZVOUS),
  option("--local-port -l", true, (port) => (port === "0" ? "works" : LOCAL_PORT)),
  option("--identity-file -i", true, "works"),
  option("--identity-passphrase", true, {
    fact: "The passphrase of an SSH key is not taken from the command line, where everybody on the machine reads it.",
    instead: "ssh asks for it; ssh-add keeps the key in an agent.",
  }),
  option("--send-ssh-public-key -s", false, "works"),
  option("--local-ssh-options -o", true, "works"),
  option("--add-forwards-to-tunnel", false, { unneeded: "has no effect: there is one ssh, and forwards are its own." }),
  option("--remote-user-name -u", true, "works"),
  option("--tunnel-user-name -U", true, { unneeded: "has no effect: there is one ssh, and -u names its account." }),
  option("--remote-sshd-port", true, (port) => (port === "22" ? "works" : SSHD_PORT)),
  option("--idle-timeout", true, { unneeded: "has no effect: a session ends with its ssh." }),
  option("--ssh-algorithm", true, {
    unneeded: "has no effect: keys of SSH are your own, and ssh knows their kind.",
  }),
  option("--ssh-client", true, (client) => (client === "openssh" ? "works" : SSH_CLIENT)),
  option("--config-file", true, PROFILE),
  option("--profile-name", true, PROFILE),
  option("--list-devices --ls", false, "works"),
  option("--authenticate-client-to-rvd --ac", false, ALWAYS),
  option("--no-authenticate-client-to-rvd --no-ac", false, NEVER),
  option("--authenticate-device-to-rvd --ad", false, ALWAYS),
  option("--no-authenticate-device-to-rvd --no-ad", false, NEVER),
  option("--output-execution-command -x", false, "works"),
];

/** Every option of NoPorts' npt. */
export const NPT_FLAGS: readonly NoPortsFlag[] = [
  ...COMMON,
  option("--version", false, { fact: "This is no command of its own.", instead: "Its version: sshnp --version" }),
  option("--srvd -r --rvd --rv", true, RENDEZVOUS),
  option("--remote-port -p --rp", true, "works"),
  option("--remote-host -h --rh", true, "works"),
  option("--local-port -l --lp", true, "works"),
  option("--local-host --lh", true, "works"),
  option("--per-session-storage --pss", false, {
    unneeded: "has no effect: sessions share nothing that they could disturb.",
  }),
  option("--no-per-session-storage --no-pss", false, {
    unneeded: "has no effect: there is no store to be quicker with.",
  }),
  option("--exit-when-connected -x", false, {
    fact: "A forwarded port lives as long as the command that forwards it, which leaves no process behind.",
    instead: "Put it into the background with &; --print-port prints the port, --exec COMMAND runs what uses it.",
  }),
  option("--keep-alive -K", false, "works"),
  option("--timeout -T", true, "works"),
];

function option(names: string, takesValue: boolean, meaning: NoPortsFlag["meaning"]): NoPortsFlag {
  return { names: names.split(" "), takesValue, meaning };
}
