import { SetupError } from "../keys/errors.ts";
import { hostName, type MemberName, type Name, quoted } from "../keys/names.ts";
import type { Destination, SessionCommand } from "./command-line.ts";
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
  /** A terminal there is not even asked for: see mayLeaveTerminalOut(). */
  readonly withoutTerminal?: boolean;
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
  const agent = agentOptions(ssh.forwardsAgent, surroundings.agent);
  // A connection that is there may be that of another client, and was opened without what these words ask for.
  const alone = ssh.sharesConnection ? [] : ["-o", "ControlPath=none"];
  const terminal = surroundings.withoutTerminal === true ? ["-o", "RequestTTY=no"] : [];
  return [
    ...ourOptions(destination, surroundings),
    ...agent,
    ...alone,
    ...terminal,
    ...ssh.before,
    `${user}${host}`,
    ...ssh.after,
  ];
}

/** Where the host keys of one device stand for ssh: a file each, so that no two sessions ever write the same one. */
export function knownHostsFile(device: { readonly name: Name; readonly member: MemberName }): string {
  return `known_hosts.${hostName(device)}`;
}

/** A command line for a POSIX shell; every word comes out of it as it went in. */
export function shellCommand(words: readonly string[]): string {
  return words.map(shellQuoted).join(" ");
}

/** The words `-o KEY=VALUE ...` that lead ssh, or what starts it, to this device and hold it to the host keys that came end to end. */
export function ourOptions(destination: Destination, { node, main, keys }: SshSurroundings): string[] {
  const host = hostName(destination.device);
  const options: readonly SshSetting[] = [
    ...settingsOfWay({
      proxyCommand: proxyCommand([node, main, ...proxyWords({ ...destination, keys })]),
      knownHosts: pathInConfiguration(`${keys}/state/${knownHostsFile(destination.device)}`),
    }),
    ["HostKeyAlias", host],
    ["ControlPersist", "no"], // a master that lives on would need our session when we are gone
    // ssh counts the wait for the device as part of connecting.
    ...(destination.waitSeconds > 0 ? [["ConnectTimeout", "0"] as const] : []),
  ];
  return optionWords(options);
}

/** The words `-o KEY=VALUE ...` that say which agent ssh asks, that of the session if it has one, and which it forwards. */
export function agentOptions(forwards: boolean, agent: string | undefined): string[] {
  return optionWords(agentSettings(forwards, agent));
}

function optionWords(settings: readonly SshSetting[]): string[] {
  return settings.flatMap(([key, value]) => ["-o", `${key}=${value}`]);
}

/** Key and value of ssh_config(5). */
export type SshSetting = readonly [key: string, value: string];

/** What leads ssh to devices and holds it to our host keys; both values as they stand in ssh_config. */
export function settingsOfWay(way: { readonly proxyCommand: string; readonly knownHosts: string }): SshSetting[] {
  return [
    ["ProxyCommand", way.proxyCommand],
    ["UserKnownHostsFile", way.knownHosts],
    ["GlobalKnownHostsFile", "/dev/null"],
    ["KnownHostsCommand", "none"],
    ["StrictHostKeyChecking", "yes"],
    ["UpdateHostKeys", "no"],
    ["CheckHostIP", "no"],
    ["VerifyHostKeyDNS", "no"],
    ["CanonicalizeHostname", "no"],
    ["ProxyUseFdpass", "no"],
    ["ServerAliveInterval", "0"], // the channel below has its own heartbeat, and outlives a network for longer
  ];
}

/** What has ssh log in with the keys of this agent alone, whose path stands as it does in ssh_config. */
export function loginBy(agent: string): SshSetting[] {
  return [
    ["IdentityAgent", agent],
    ["IdentityFile", "none"],
    ["IdentitiesOnly", "no"],
  ];
}

/** A ProxyCommand of these words, with nothing in them left to expand. @throws {SetupError} E_USAGE. */
export function proxyCommand(words: readonly string[]): string {
  return escapePercents(refuseUnwritable(shellCommand(words)));
}

/** A path as one word of ssh_config. @throws {SetupError} E_USAGE when it cannot be written there. */
export function pathInConfiguration(path: string): string {
  return configurationWord(refuseUnwritable(path));
}

/**
 * An agent is forwarded to a device when the command line asks for it, never because of a line in the user's configuration. The
 * agent with the key of the session would be forwarded in place of the user's, so that one is named.
 */
function agentSettings(forwards: boolean, agent: string | undefined): SshSetting[] {
  if (agent === undefined) return forwards ? [] : [["ForwardAgent", "no"]];
  const users = process.env["SSH_AUTH_SOCK"] ?? "";
  return [
    ...loginBy(configurationWord(agent)),
    ["ForwardAgent", forwards && users !== "" ? configurationWord(users) : "no"],
  ];
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
