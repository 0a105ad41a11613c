import { Command } from "commander";
import { type BrokerFlags, demandBroker, parseBrokerUrl, type WitnessOptions } from "../directory/client.ts";
import { SetupError } from "../keys/errors.ts";
import { keysFolderPath } from "../keys/keys-folder.ts";
import { parseMember, parseName, quoted } from "../keys/names.ts";
import { VERSION } from "../keys/version.ts";

import { directoryInEnvironment, parseDirectoryAddress } from "../protocol/directory-address.ts";
import { parseClients } from "./clients.ts";
import type { DaemonOptions } from "./daemon.ts";
import { parseInetdProgram } from "./inetd-program.ts";
import { parseCertifiedLogins } from "./session-keys.ts";
import { parsePermitOpen } from "./permit-open.ts";
import { SSH_MODES, type SshMode } from "./ssh-server.ts";

interface Flags extends WitnessOptions, BrokerFlags {
  readonly mqtt?: string;
  readonly atsign: string;
  readonly manager: readonly string[];
  readonly device: string;
  readonly directory?: string;
  readonly keys?: string;
  readonly sshPort: string;
  readonly sshMode: string;
  readonly sshProgram?: string;
  readonly permitOpen: readonly string[];
  readonly statusFile?: string;
  readonly sshpublickey?: boolean;
  readonly sessionKeys?: string | true;
  readonly metrics?: string;
  readonly verbose?: boolean;
  readonly newDevice?: boolean;
  readonly metered?: boolean;
}

/** The command line of sshnpd. `run` gets what it says, parsed. */
export function command(run: (options: DaemonOptions) => Promise<void>): Command {
  return withOptions(new Command("sshnpd"))
    .description("Makes this machine reachable by ssh for the clients listed, with no port open to the network.")
    .version(VERSION, "-V, --version")
    .addHelpText("after", HELP)
    .action((flags: Flags) => run(parseFlags(flags)));
}

/** The command line of `sshnpd check`: the same options, as the daemon has them or is to have them. */
export function checkCommand(run: (options: DaemonOptions, json: boolean) => Promise<void>): Command {
  return withOptions(new Command("sshnpd"))
    .usage("check [options]")
    .description(
      "Looks whether sshnpd with these options would work here, and says what to do. Disturbs none that runs.",
    )
    .option("--json", "one JSON object, for programs")
    .addHelpText("after", CHECK_HELP)
    .action((flags: Flags & { readonly json?: boolean }) => run(parseFlags(flags), flags.json === true));
}

function withOptions(plain: Command): Command {
  return plain
    .requiredOption("-a, --atsign <name>", "the name this device belongs to, such as @device")
    .requiredOption("-d, --device <member>", "what this device is called under that name")
    .option("-m, --manager <names>", "who may come in: @client or @client=SHA256:..., several with commas", collect, [])
    .option("--directory <address>", "http(s)://HOST:PORT#SHA256:... (else SSHNP_DIRECTORY, else as at activation)")
    .option("--keys <folder>", "where the keys are (else SSHNP_KEYS, else ~/.local/share/sshnp/keys)")
    .option(
      "--witness <key>",
      "a witness that must have cosigned the directory's log, for each (else SSHNP_WITNESSES)",
      collect,
      [],
    )
    .option("--witnesses <k>", "how many of them must have, more than half if not said")
    .option("--max-checkpoint-age <time>", "how long ago that may be: 24h if not said")
    .option("--ssh-port <port>", "where this machine's SSH server answers on 127.0.0.1", "22")
    .option("--ssh-mode <mode>", "which SSH server: auto, tcp, inetd, builtin or off (no ssh)", "auto")
    .option("--ssh-program <file>", "sshd or dropbear, to be started for each session where none listens (else found)")
    .option("--permit-open <host:port>", "what listed clients may reach beside ssh; several times", collect, [])
    .option("-s, --sshpublickey", "put public keys that clients push (sshnp -s) into authorized_keys")
    .option(
      "--session-keys [logins]",
      "certify keys of single sessions (sshnp --session-key) for these logins, with commas; else for those that the policy names",
    )
    .option("--new-device", "make keys for -d though those of another device of that name are here")
    .option(
      "--metered",
      "heartbeats every minute, for lines that are paid by what they carry: 0.3 MB a day instead of 0.8",
    )
    .option("--mqtt <url>", "wait at this MQTT broker instead of at the directory: mqtts://HOST[:PORT] (docs/mqtt.md)")
    .option("--mqtt-ca <file>", "who may vouch for the broker (PEM), if not those that Node knows")
    .option(
      "--mqtt-cert <file>",
      "this device's certificate there (PEM); without it, a token of the device's is its password",
    )
    .option("--mqtt-key <file>", "its private key (PEM)")
    .option("--mqtt-no-verify", "take whatever certificate the broker shows; it gets no token then")
    .option("--status-file <file>", "keep the newest of the lines on stdout in a file, for health checks")
    .option("--metrics <host:port>", "serve Prometheus metrics and /readyz there, in plain HTTP (docs/monitoring.md)")
    .option("-u, --un-hide", "has no effect; accepted for those who come from NoPorts")
    .option("-v, --verbose", "log more");
}

const HELP = `
Commands:
  check              looks whether this machine is ready, and says what to do (with the same options): status 78 if there is something
  ssh-ca             prints the lines of sshd_config by which sshd takes the keys of --session-keys

The first line on stdout, once the directory knows that this device is here: online: mygateway.device.np
stderr is a log, one JSON object a line, with a few plain lines for people. When the directory is lost, stdout says
offline: mygateway.device.np, within half a minute at most. --status-file FILE has the newest of these lines while sshnpd
runs, and no line before the first: grep -q ^online: FILE

-m @client pins the owner key that the directory gives for @client when it is first asked. To trust nobody
with that, give its fingerprint: -m @client=SHA256:... (activation prints it).
If the owner of -a has signed a policy (sshnp-keys policy apply), the policy says who may reach what and when. Whoever is in it
comes in without -m; if any -m is given, a client must be in both. --permit-open counts only where there is no policy.
-s: run as root, it admits the keys of every listed client for any login, root included; run as a user, for that user
alone. Keys that were added stay when a client leaves -m.
Without keys for -d NAME, but with the owner key of -a beside, it makes them and signs them once
(--new-device: beside those of another device, too).
--session-keys: nothing stays on this machine, and the SSH server has to be told once: sshnpd ssh-ca

--ssh-mode auto takes the server that answers on --ssh-port, else starts sshd or dropbear for each session with no port at all
(inetd), else a built-in one. It never changes to other host keys than clients have pinned; docs/ssh-modes.md has it all.

Exit status: 0 stopped by a signal, 2 usage, 75 another sshnpd runs with these keys, others with a message.

Examples:
  sshnpd -a @device -m @client -d mygateway -s
  sshnpd -a @device -m @alice,@bob=SHA256:... -d mygateway -s --ssh-port 2222
  sshnpd check -a @device -m @client -d mygateway`;

const CHECK_HELP = `
Whether the directory knows a name of -m is told beside a running sshnpd alone: so that nobody tries names out, a directory tells
whose they are to devices that wait there, and this command does not wait there in sshnpd's place.`;

function parseFlags(flags: Flags): DaemonOptions {
  const { directory } = flags;
  demandBroker(flags);
  return {
    name: parseName(flags.atsign),
    member: parseMember(flags.device),
    clients: parseClients(flags.manager),
    directory: directory === undefined ? directoryInEnvironment(process.env) : parseDirectoryAddress(directory),
    keys: keysFolderPath(flags.keys, process.env),
    witnesses: flags,
    sshPort: parsePort(flags.sshPort),
    sshMode: parseSshMode(flags.sshMode),
    sshProgram: flags.sshProgram === undefined ? undefined : parseInetdProgram(flags.sshProgram),
    permitOpen: parsePermitOpen(flags.permitOpen),
    statusFile: flags.statusFile,
    acceptsKeys: flags.sshpublickey === true,
    sessionKeys: flags.sessionKeys === undefined ? undefined : parseCertifiedLogins(flags.sessionKeys),
    mqtt: flags.mqtt === undefined ? undefined : { ...flags, url: parseBrokerUrl(flags.mqtt).href },
    metrics: flags.metrics,
    isVerbose: flags.verbose === true,
    isNewDevice: flags.newDevice === true,
    isMetered: flags.metered === true,
  };
}

function parsePort(text: string): number {
  if (!/^[1-9][0-9]{0,4}$/.test(text) || Number(text) > 65_535) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not a port.`, { next: "A port is a number from 1 to 65535." });
  }
  return Number(text);
}

function parseSshMode(text: string): SshMode {
  const mode = SSH_MODES.find((known) => known === text);
  if (mode === undefined) {
    throw new SetupError("E_USAGE", `${quoted(text)} is no SSH mode.`, { next: `One of: ${SSH_MODES.join(", ")}.` });
  }
  return mode;
}

function collect(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}
