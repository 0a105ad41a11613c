import { type Command, Option } from "commander";
import { SetupError } from "../keys/errors.ts";

/** What an option of NoPorts' sshnpd is here. */
export type Meaning =
  /** The same as an option of ours. */
  | { readonly as: string }
  /** A line on stderr says why nobody needs it. */
  | { readonly unneeded: string }
  /** It is refused: a fact, and what replaces it. */
  | { readonly fact: string; readonly instead: string };

const PASSPHRASE: Meaning = {
  fact: "A passphrase is not taken from the command line, where everybody on the machine reads it.",
  instead: "Name a file that holds it: SSHNP_PASSPHRASE_FILE=FILE",
};
const VISIBLE: Meaning = {
  fact: "There is nothing to hide: only who may come in learns of this device.",
  instead: "Leave it out; -m and the owner's policy say who may.",
};
const ROOT: Meaning = {
  fact: "There is no root server: a directory is one address, and the fingerprint of its key stands in it.",
  instead: "sshnpd --directory http(s)://HOST:PORT#SHA256:...",
};
const CLIENT_KEYS: Meaning = {
  fact: "What a pushed key may do cannot be narrowed by this daemon.",
  instead: "Leave out -s, and write the key into authorized_keys yourself, with its options in front.",
};

/** Every option of NoPorts' sshnpd that is none of ours under the same name, in the usage texts of 2024 to 2026. */
export const NOPORTS_FLAGS: Readonly<Record<string, Meaning>> = {
  "--config <file>": {
    fact: "The daemon reads no configuration file: its command line says everything.",
    instead: "Put the options into its service unit, see sshnpd --help",
  },
  "-k, --key-file <file>": {
    fact: "Key files of NoPorts are not read: keys are made on the machine that uses them.",
    instead: "Activate or enrol the device, see sshnp-keys --help; --keys FOLDER says where its keys are.",
  },
  "-P, --pass-phrase <passphrase>": PASSPHRASE,
  "--root-server <address>": ROOT,
  "--root-domain <address>": ROOT,
  "--managers <names>": { as: "manager" },
  "-p, --policy-manager <name>": {
    fact: "No other party is asked for each session: the owner signs a policy, and the device reads it itself.",
    instead: "On the owner's machine: sshnp-keys policy apply @device policy.yaml",
  },
  "--po <host:port>": { as: "permitOpen" },
  "--dg, --device-group <group>": {
    fact: "A device says nothing of groups: the owner's policy does.",
    instead: "On the owner's machine: sshnp-keys policy apply @device policy.yaml",
  },
  "--hide": VISIBLE,
  "--username": { unneeded: "has no effect: who may log in is the policy's and sshd's to say." },
  "-S, --sshpublickey-permissions <text>": CLIENT_KEYS,
  "--ephemeral-permissions <text>": { unneeded: "has no effect: no key is put into authorized_keys for a session." },
  "--ssh-client <client>": { unneeded: "has no effect: the daemon runs no ssh." },
  "--ssh-algorithm <algorithm>": { unneeded: "has no effect: no key of SSH is made for a session." },
  "--local-sshd-port <port>": { as: "sshPort" },
  "--storage-path <folder>": {
    unneeded: "has no effect: what the daemon remembers lies with its keys, see --keys.",
  },
  "--storage-dir <folder>": {
    unneeded: "has no effect: what the daemon remembers lies with its keys, see --keys.",
  },
  "--clear-cached-pks": {
    fact: "Keys of clients are pinned, and a pin is not given up for being asked.",
    instead: "A key that its owner has rotated is followed by itself. -m @client=SHA256:... names another owner key.",
  },
  "--strict": { unneeded: "has no effect: it is always so." },
  "--debug": { as: "verbose" },
  "--doctor": {
    fact: "sshnpd has no doctor; it says what it lacks when it starts, and ends with a code and a next step.",
    instead: "Start it with -v, and look at its last lines.",
  },
  "-o, --output <file>": {
    fact: "--output belongs to the doctor of NoPorts' daemon.",
    instead: "The log goes to stderr, and --status-file FILE keeps the state.",
  },
};

/** Adds them, unseen by help. `-h` stays help where it stands alone, and is `--hide` among other options. */
export function withNoPortsFlags(
  command: Command,
  words: readonly string[] = process.argv.slice(2),
  tell: (line: string) => void = (line) => void process.stderr.write(line),
): Command {
  const apply = (name: string, meaning: Meaning, value: string | null): void => {
    if ("fact" in meaning) throw new SetupError("E_USAGE", meaning.fact, { next: meaning.instead });
    if ("unneeded" in meaning) return tell(`sshnpd: ${name} ${meaning.unneeded}\n`);
    const before: unknown = command.getOptionValue(meaning.as);
    const isList = Array.isArray(before);
    command.setOptionValue(meaning.as, isList ? [...before, ...(value ?? "").split(",")] : (value ?? true));
  };
  for (const [flags, meaning] of Object.entries(NOPORTS_FLAGS)) {
    const option = new Option(flags).hideHelp();
    command.addOption(option);
    command.on(`option:${option.name()}`, (value: string | null) => apply(option.long ?? flags, meaning, value));
  }
  if (words.includes("-h") && words.length > 1) {
    command.helpOption("--help", "display help for command");
    command.addOption(new Option("-h").hideHelp());
    command.on("option:h", () => apply("-h", VISIBLE, null));
  }
  return command;
}
