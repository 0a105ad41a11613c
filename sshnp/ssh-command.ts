import { SetupError } from "../keys/errors.ts";
import { hostName, type MemberName, type Name, quoted } from "../keys/names.ts";
import type { SessionCommand } from "./command-line.ts";
import { proxyWords } from "./proxy-line.ts";

/** What a command line of ssh depends on besides the words of the user. */
export interface SshSurroundings {
  /** Absolute paths of Node and of the main file of sshnp. */
  readonly node: string;
  readonly main: string;
  /** Absolute path of the keys folder. */
  readonly keys: string;
  /** Socket of the agent that has the key of this session, if it has one of its own. */
  readonly agent?: string;
}

/**
 * The arguments of ssh. Ours come first, and ssh takes the first value of every option; so neither the user's
 * configuration nor the user's options lead it past the host keys that came end to end.
 * @throws {SetupError} E_USAGE when a path cannot be written in ssh's configuration.
 */
export function sshArguments(command: SessionCommand, surroundings: SshSurroundings): string[] {
  const { destination, ssh } = command;
  const host = hostName(destination.device);
  const user = ssh.user === "" ? "" : `${ssh.user}@`;
  return [...ourOptions(command, host, surroundings), ...ssh.before, `${user}${host}`, ...ssh.after];
}

/** Where the host keys of one device stand for ssh: a file each, so that no two sessions ever write the same one. */
export function knownHostsFile(device: { readonly name: Name; readonly member: MemberName }): string {
  return `known_hosts.${hostName(device)}`;
}

/** A command line for a POSIX shell; every word comes out of it as it went in. */
export function shellCommand(words: readonly string[]): string {
  return words.map(shellQuoted).join(" ");
}

function ourOptions(command: SessionCommand, host: string, { node, main, keys, agent }: SshSurroundings): string[] {
  const { destination } = command;
  const knownHosts = `${keys}/state/${knownHostsFile(destination.device)}`;
  const proxy = shellCommand([node, main, ...proxyWords({ ...destination, keys })]);
  const options = [
    `ProxyCommand=${escapePercents(refuseUnwritable(proxy))}`,
    `HostKeyAlias=${host}`,
    `UserKnownHostsFile=${configurationWord(refuseUnwritable(knownHosts))}`,
    "GlobalKnownHostsFile=/dev/null",
    "KnownHostsCommand=none",
    "StrictHostKeyChecking=yes",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    "VerifyHostKeyDNS=no",
    "CanonicalizeHostname=no",
    "ProxyUseFdpass=no",
    "ControlPersist=no", // a master that lives on would need our session when we are gone
    "ServerAliveInterval=0", // the channel below has its own heartbeat, and outlives a network for longer
    ...agentOptions(command.ssh.forwardsAgent, agent),
    // ssh counts the wait for the device as part of connecting.
    ...(destination.waitSeconds > 0 ? ["ConnectTimeout=0"] : []),
  ];
  return options.flatMap((option) => ["-o", option]);
}

/**
 * An agent is forwarded to a device when the command line asks for it, never because of a line in the user's configuration. The
 * agent with the key of the session would be forwarded in place of the user's, so that one is named.
 */
function agentOptions(forwards: boolean, agent: string | undefined): string[] {
  const own =
    agent === undefined ? [] : [`IdentityAgent=${configurationWord(agent)}`, "IdentityFile=none", "IdentitiesOnly=no"];
  if (!forwards) return [...own, "ForwardAgent=no"];
  const users = process.env["SSH_AUTH_SOCK"] ?? "";
  return agent === undefined
    ? own
    : [...own, users === "" ? "ForwardAgent=no" : `ForwardAgent=${configurationWord(users)}`];
}

/** One word of ssh_config(5), with nothing in it left to expand. */
function configurationWord(text: string): string {
  return `"${escapePercents(text).replace(/[\\"]/g, "\\$&")}"`;
}

function escapePercents(text: string): string {
  return text.replaceAll("%", "%%");
}

function shellQuoted(word: string): string {
  return /^[\w@+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function refuseUnwritable(text: string): string {
  if (/\p{Cc}|\$\{/u.test(text)) {
    throw new SetupError("E_USAGE", `A path in ${quoted(text)} cannot be written in ssh's configuration.`, {
      next: "Use folders without control characters and without ${.",
    });
  }
  return text;
}
