import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { loginBy, pathInConfiguration, proxyCommand, type SshSetting, settingsOfWay } from "./ssh-command.ts";
import { STARTED_BY_SSHNP } from "./started-by-sshnp.ts";

/** What a block of ssh_config(5) depends on. All paths are absolute. */
export interface SshConfigBlock {
  /** For which hosts, see {@link parseHostPattern}. */
  readonly hostPattern: string;
  /** Node, the main file of sshnp, and the words after it, without the host. */
  readonly proxy: readonly string[];
  /** The keys folder. */
  readonly keys: string;
  /** As ControlPath has it, `%C` included; undefined: every ssh makes a connection of its own. */
  readonly controlPath: string | undefined;
  /** Whether ssh logs in with a key of the session, from the agent that the proxy is then, and with no other. */
  readonly sessionKey?: boolean;
  /** Whether an ssh may have to wait for the device. */
  readonly waits: boolean;
  /** Whether this ssh knows KnownHostsCommand (OpenSSH 8.5 and later); an older one would refuse the whole file. */
  readonly knowsKnownHostsCommand: boolean;
}

/**
 * A block for ssh_config(5) that leads ssh, and all that starts it, to devices.
 *
 * Host and user go through a shell. Within apostrophes nothing but an apostrophe means anything to it, so names with one
 * are kept out: OpenSSH refuses them itself from 9.6 on, and before that a git submodule's address was enough (CVE-2023-51385).
 * @throws {SetupError} E_USAGE when a path cannot be written in ssh's configuration.
 */
export function sshConfigBlock(block: SshConfigBlock): string {
  const { hostPattern, controlPath } = block;
  const settings: readonly SshSetting[] = [
    ...settingsOfWay({
      proxyCommand: `${proxyCommand(block.proxy)} '%r@%h:%p'`,
      knownHosts: pathInState(block.keys, "known_hosts.%h"),
    }).filter(([key]) => block.knowsKnownHostsCommand || key !== "KnownHostsCommand"),
    ["ForwardAgent", "no"],
    ...(block.waits ? [["ConnectTimeout", "0"] as const] : []), // ssh counts the wait for the device as part of connecting
    ...(controlPath === undefined
      ? []
      : ([
          ["ControlMaster", "auto"],
          ["ControlPath", `"${controlPath}"`],
          ["ControlPersist", "60s"],
        ] as const)),
  ];
  // An ssh that sshnp starts has its own agent with --session-key, and logs in with keys of the user's without.
  const login = [
    `Match originalhost "${hostPattern},!*'*" !exec "printenv ${STARTED_BY_SSHNP}"`,
    ...settingLines(loginBy(pathInState(block.keys, "agent.%r@%h"))),
  ];
  const lines = [
    BEGIN,
    `Match originalhost ${hostPattern} user "*'*"`,
    "  ProxyCommand false",
    ...(block.sessionKey === true ? login : []),
    `Host ${hostPattern} "!*'*"`,
    ...settingLines(settings),
    "# End sshnp",
  ];
  return `${lines.join("\n")}\n`;
}

function settingLines(settings: readonly SshSetting[]): string[] {
  return settings.map(([key, value]) => `  ${key} ${value}`);
}

/** `name` may have tokens of ssh_config(5) in it; the path of the folder has none. */
function pathInState(keys: string, name: string): string {
  return `${pathInConfiguration(`${keys}/state/`).slice(0, -1)}${name}"`;
}

/** The first line of every such block. */
const BEGIN = "# Begin sshnp ('sshnp ssh-config --install' writes this, '--uninstall' takes it away)";

/** Whether a file is a block of ours. */
export function isOurBlock(text: string): boolean {
  return text.startsWith("# Begin sshnp ");
}

/** The hosts that a block of ours is for, and the keys of its settings, in lower case; undefined for any other text. */
export function readBlock(
  text: string,
): { readonly hostPattern: string; readonly keys: readonly string[] } | undefined {
  const [, login = "", hosts = "", settings = ""] = BLOCK.exec(text) ?? [];
  if (!isOurBlock(text) || hosts === "") return undefined;
  const keys = [...`${login}${settings}`.matchAll(/^ {2}([A-Za-z]+) /gm)].map(([, key = ""]) => key.toLowerCase());
  return { hostPattern: hosts, keys };
}

/** Its settings for the login, if it has any; its hosts; its settings for the way. */
const BLOCK =
  /^(?:Match \S+ \S+ !exec .*\n((?: {2}[A-Za-z]+ .*\n)+))?Host (\S+) .*\n((?: {2}[A-Za-z]+ .*\n)+)# End sshnp\n$/m;

/** A host name of devices with `*` and `?` in it, such as `*.np` or `*.acme.np`. @throws {SetupError} E_USAGE. */
export function parseHostPattern(text: string): string {
  if (text.length > 80 || !/^(?:\*|[a-z0-9*?_-]+\.[a-z0-9*?-]+)\.np$/.test(text)) {
    throw new SetupError("E_USAGE", `${quoted(text)} is no pattern for host names of devices.`, {
      next: "Such as *.np for all, or *.acme.np for those of @acme.",
    });
  }
  return text;
}

/** A host that the pattern fits. */
export function sampleHost(hostPattern: string): string {
  const host = hostPattern.replace(/[*?]/g, "x");
  return host.split(".").length > 2 ? host : `x.${host}`;
}

/**
 * Where control sockets go: the first of `folders` in which their path is not too long for unix(7). ssh makes them under
 * another name first, longer by 17 bytes.
 */
export function controlPathIn(folders: readonly string[]): string | undefined {
  const folder = folders.find(
    (path) =>
      Buffer.byteLength(`${path}/sshnp-`) + 40 + 17 <= MAX_SOCKET_PATH_BYTES && !/["\\%\p{Cc}]|\$\{/u.test(path),
  );
  return folder === undefined ? undefined : `${folder}/sshnp-%C`;
}

/** The folder of the control sockets, by the text of a block; undefined where no connections are shared. */
export function controlFolderOf(block: string): string | undefined {
  return /^ +ControlPath "(\/[^"\n]+)\/sshnp-%C"$/m.exec(block)?.[1];
}

/** sun_path without its final zero, on systems where it is shortest (108 bytes on Linux, 104 elsewhere). */
const MAX_SOCKET_PATH_BYTES = 103;
