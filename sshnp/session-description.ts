import { Command, Option } from "commander";
import { DEFAULT_WAIT } from "./command-line.ts";

/*
 * What help, man pages and completion say of the two command lines that are parsed by hand (command-line.ts, proxy-line.ts):
 * their options stand among ssh's, which commander knows nothing of.
 */

const KEYS = "the keys folder (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)";
const DIRECTORY = "http(s)://HOST:PORT#SHA256:... instead of the address in the key file (else SSHNP_DIRECTORY)";

/** `sshnp [options] [@client] @device [user@]mygateway ...` */
export function describeSession(): Command {
  const command = new Command("sshnp")
    .description("Opens an SSH session to a device that has no open port.")
    .option("-s", "send your public SSH key for the device to admit (its sshnpd runs with -s)")
    .option(
      "--session-key",
      "log in with a key made for this session, which the device certifies (its sshnpd runs with --session-keys; else SSHNP_SESSION_KEY)",
    )
    .option("--no-session-key", "do not, whatever the settings say")
    .option(
      "--native",
      "log in without ssh, with a client that knows shells, commands, -i and -t; so it is where there is no ssh",
    )
    .option("-x", "print the ssh command line instead of running it")
    .option("-v", "tell each step, with its time");
  return withWhere(command)
    .option("--profile <profile>", "the settings of this profile, ahead of all other words (else SSHNP_PROFILE)")
    .option("-V, --version", "print the version")
    .helpOption("--help", "print this");
}

/** `sshnp proxy [options] [user@]mygateway.device.np[:22]` */
export function describeProxy(): Command {
  const command = new Command("sshnp proxy")
    .description("Joins standard input and output to the SSH server of a device: a ProxyCommand for ssh.")
    .option("--client <@client>", "which client to be, when the keys folder has several (else SSHNP_CLIENT)")
    .option("--owner <fingerprint>", "SHA256:..., the owner key that the device's name must have")
    .option("-s", "send your public SSH key for the device to admit")
    .option("-i <file>", "the key to send")
    .option(
      "--session-key",
      "log in with a key made for this session: with IdentityAgent KEYS/state/agent.%r@%h in ssh's configuration",
    )
    .option("-v", "tell each step, with its time");
  return withWhere(command).helpOption("--help", "print this");
}

/** `--wait[=TIME]`: a time that stands apart would be a name. */
export function waitOption(description: string): Option {
  const option = new Option("--wait [time]", description);
  option.flags = "--wait[=TIME]";
  return option;
}

/** Adds the options that say where to, which all that make a session have. */
export function withWhere(command: Command): Command {
  return command
    .addOption(waitOption(`wait for a device that is offline, ${DEFAULT_WAIT} if not said (else SSHNP_WAIT)`))
    .option("--no-wait", "do not, whatever the settings say")
    .option("--directory <address>", DIRECTORY)
    .option(
      "--witness <key>",
      "NAME+hash+base64 of a witness that must have cosigned the directory's log, for each (else SSHNP_WITNESSES)",
    )
    .option("--witnesses <k>", "how many of them must have, more than half if not said")
    .option("--max-checkpoint-age <time>", "how long ago that may be: 24h if not said")
    .option("--keys <folder>", KEYS);
}
