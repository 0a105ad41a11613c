import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { pino } from "pino";
import { DirectoryClient } from "../directory/client.ts";
import type { CipherSuite } from "../keys/cipher-suite.ts";
import { type MemberKeys, readMemberFile } from "../keys/end-key-files.ts";
import { SetupError, SshnpError } from "../keys/errors.ts";
import type { Name } from "../keys/names.ts";
import { parsePublicKeyBlob, fingerprint } from "../keys/openssh.ts";
import { askPassphrase } from "../keys/passphrase.ts";
import { nextSteps, printable } from "../keys/print-error.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { parseDirectoryAddress } from "../protocol/directory-address.ts";
import { encodeActivationStart } from "../protocol/messages/activation.ts";
import { REQUEST } from "../protocol/messages/types.ts";
import { CLOCK_OFF_MS, DIRECTORY_CONNECT_MS, UNKNOWN_CLIENT_MS } from "../protocol/limits.ts";
import { loadSuite } from "../protocol/suite/load.ts";
import { AutoServer } from "./auto-server.ts";
import { judgeAuthorizedKeys } from "./judge-authorized-keys.ts";
import { Clients } from "./clients.ts";
import type { DaemonOptions } from "./daemon.ts";
import { type Finding, fine, toFix } from "./finding.ts";
import { lookAtBroker } from "./judge-broker.ts";
import { judgeSessionKeys } from "./judge-session-keys.ts";
import { judgeSshd } from "./judge-sshd.ts";
import { lookAtTerminals } from "./judge-terminals.ts";
import { listeningSockets } from "./listening-sockets.ts";
import { lookAtTrustedKey } from "./look-at-trusted-key.ts";
import { noKeysIn, whatIsMissing } from "./member.ts";
import { openSshServer } from "./open-ssh-server.ts";
import { OwnPolicy } from "./own-policy.ts";
import { OwnStatements } from "./own-statements.ts";
import { findProgram } from "./programs.ts";
import { ownLoginUnlessRoot } from "./session-keys.ts";
import type { SshServer } from "./ssh-server.ts";
import { readSshdConfiguration, type SshdConfiguration } from "./sshd-configuration.ts";
import { refusedLogins } from "./refused-logins.ts";

/**
 * Looks at all that a daemon with these options needs, and prints a line for each, `ok ...` or `fix ...` with what to do; or
 * one JSON object. Takes no lock and writes nothing but, where there are none, the host keys of a server that is to be
 * started. Sets process.exitCode: 78 when there is something to fix.
 */
export async function check(
  options: DaemonOptions,
  { json, signal }: { readonly json: boolean; readonly signal: AbortSignal },
): Promise<void> {
  const findings: Finding[] = [];
  const print = ({ isFine, about, text, next }: Finding): void => {
    const steps = nextSteps(next).map((step) => `\n    ${printable(step)}`);
    if (!json) process.stdout.write(`${isFine ? "ok " : "fix"} ${about}: ${printable(text)}${steps.join("")}\n`);
  };
  for await (const finding of look(options, signal)) {
    findings.push(finding);
    print(finding);
  }
  const isFine = findings.every((finding) => finding.isFine);
  if (json) {
    const checks = findings.map(({ about, isFine: ok, text, next }) => ({ about, ok, text, next }));
    process.stdout.write(`${printable(JSON.stringify({ v: 1, ok: isFine, checks }))}\n`);
  }
  process.exitCode = isFine ? 0 : 78;
}

async function* look(options: DaemonOptions, signal: AbortSignal): AsyncGenerator<Finding> {
  const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
  const opened = await attempt("keys", () => openKeys(suite, options, signal));
  if ("isFine" in opened) return yield opened; // all else rests on them
  const { folder, keys } = opened;
  yield fine("keys", `${keys.member} of ${keys.name} in ${folder.path}, closed to others`);
  const other = await processThatRuns(folder, options);
  if (other !== undefined) yield fine("daemon", `process ${other} runs with these keys`);
  yield* lookAtDirectory(suite, options, keys, signal);
  yield* lookAtBroker(suite, options, keys, { isRunning: other !== undefined, signal });
  yield* lookAtClients(suite, folder, keys, { ...options, isRunning: other !== undefined }, signal);
  const statements = await OwnStatements.open(suite, folder, keys).catch(() => undefined);
  const hasPolicy = statements !== undefined && (await new OwnPolicy(statements, SILENT).current()) !== undefined;
  yield* lookAtSsh(suite, folder, options, { hasPolicy, signal });
}

interface Opened {
  readonly folder: PrivateFolder;
  readonly keys: MemberKeys;
}

async function openKeys(suite: CipherSuite, options: DaemonOptions, signal: AbortSignal): Promise<Opened | Finding> {
  const folder = await PrivateFolder.open(options.keys);
  if (folder === undefined) throw noKeysIn(options.keys, options);
  const keys = await readMemberFile(suite, folder, options, (path) => askPassphrase(path, { signal }));
  if (keys === undefined) {
    const missing = await whatIsMissing({ suite, folder }, options);
    if (missing !== undefined) throw missing;
    const { name, member } = options;
    return fine(
      "keys",
      `none of ${member} of ${name} yet; they are made, for good, when sshnpd starts, for the owner key is here; look at the rest then`,
    );
  }
  if (keys.role === "device") return { folder, keys };
  throw new SetupError("E_KEY_EXISTS", `${keys.member} of ${keys.name} is a client here, and no device`, {
    next: "Choose another name for the device: -d NAME",
  });
}

/** As the running daemon has written it; no lock is taken, so that one that starts just now finds it free. */
async function processThatRuns(folder: PrivateFolder, { name, member }: DaemonOptions): Promise<number | undefined> {
  const text = await readFile(join(folder.path, "state", `running.${name}.${member}`), "utf8").catch(() => "");
  const [, pid] = /^([1-9][0-9]{0,9})\n$/.exec(text) ?? [];
  if (pid === undefined) return undefined;
  return await readFile(`/proc/${pid}/comm`).then(
    () => Number(pid),
    () => undefined,
  );
}

async function* lookAtDirectory(
  suite: CipherSuite,
  options: DaemonOptions,
  keys: MemberKeys,
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const address = options.directory ?? parseDirectoryAddress(keys.directory);
  const random = (length: number): Uint8Array => new Uint8Array(randomBytes(length));
  const client = new DirectoryClient({ address, suite, random });
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(DIRECTORY_CONNECT_MS)]);
  const question = { type: REQUEST.activationStart, body: encodeActivationStart(keys.name) }; // any that is answered with the time
  const answer = await attempt("directory", () => client.request(keys.x25519, question, { signal: inTime }));
  if ("isFine" in answer) return yield answer;
  yield fine("directory", `${address.url.host} answers, and has the key ${address.fingerprint}`);
  if (answer.type !== "activation") return;
  const offset = answer.time - Date.now();
  const minutes = Math.round(Math.abs(offset) / 60_000);
  if (Math.abs(offset) <= CLOCK_OFF_MS) yield fine("clock", "as the directory's");
  else {
    const text = `${minutes} min ${offset > 0 ? "behind" : "ahead of"} the directory's, which is used instead`;
    yield toFix("clock", text, "Set it: timedatectl set-ntp true");
  }
}

async function* lookAtClients(
  suite: CipherSuite,
  folder: PrivateFolder,
  keys: MemberKeys,
  options: DaemonOptions & { readonly isRunning: boolean },
  signal: AbortSignal,
): AsyncGenerator<Finding> {
  const looked = await attempt("clients", async () => {
    const statements = await OwnStatements.open(suite, folder, keys);
    const policy = new OwnPolicy(statements, SILENT);
    const clients = new Clients(
      suite,
      folder,
      options.clients,
      () => {},
      () => policy.current(),
    );
    // A daemon that has just begun may not have heard yet of whom it has asked for.
    const isSoon = options.isRunning && (await clients.unresolved()).length > 0;
    if (isSoon) await delay(UNKNOWN_CLIENT_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    return { stated: await policy.current(), lines: await clients.describe(), unknown: await clients.unresolved() };
  });
  if ("isFine" in looked) return yield looked;
  const { stated, lines, unknown } = looked;
  if (stated === "unreadable") {
    return yield toFix(
      "clients",
      "the policy of the owner cannot be read here, so nobody is let in",
      "Sign it again: sshnp-keys policy apply",
    );
  }
  if (stated === undefined && options.clients.size === 0) {
    return yield toFix(
      "clients",
      "nobody is let in: no -m, and no policy of the owner",
      "List one: sshnpd -m @client ...",
    );
  }
  if (stated !== undefined) yield fine("clients", `the policy of ${keys.name} says who may reach what`);
  for (const line of lines) {
    const name = unknown.find((one) => line.startsWith(`${one} `));
    yield name === undefined ? fine("clients", line) : notKnownYet(name, options.isRunning);
  }
}

/** A daemon that runs asks the directory for whoever it lists and does not know, and is told of a name that is there. */
function notKnownYet(name: Name, isRunning: boolean): Finding {
  if (!isRunning) {
    const whenTold = `within ${UNKNOWN_CLIENT_MS / 1000} s, if the directory knows no ${name}`;
    return fine(
      "clients",
      `${name} is not pinned yet, and not looked for here: a directory tells whose a name is to daemons alone. sshnpd says so on stderr ${whenTold}`,
    );
  }
  return toFix(
    "clients",
    `${name} is not pinned, although a daemon runs: the directory has told it no such owner key`,
    "Is it spelt as its owner says, and does the daemon that runs list it, too? Once it is activated it is let in by itself.",
  );
}

async function* lookAtSsh(
  suite: CipherSuite,
  folder: PrivateFolder,
  options: DaemonOptions,
  { hasPolicy, signal }: { readonly hasPolicy: boolean; readonly signal: AbortSignal },
): AsyncGenerator<Finding> {
  const { sshMode: mode, sshPort: port, sshProgram: program } = options;
  if (mode === "off") return yield fine("ssh", "off: TCP services alone");
  const granted = (): Promise<string> => Promise.resolve("");
  const opened = await attempt("ssh", async () => {
    const server = await openSshServer({
      ...options,
      ...{ mode, port, program, folder, granted, log: SILENT, signal },
    });
    return { server, blobs: await server.hostKeys("") };
  });
  if ("isFine" in opened) return yield opened;
  const { server, blobs } = opened;
  yield fine("ssh", modeText(server, options));
  if (mode === "auto" && server.mode !== "tcp" && port !== SSH_PORT) yield await portNotTaken(port);
  for (const blob of blobs) yield fine("host key", `${parsePublicKeyBlob(blob).type} ${fingerprint(suite, blob)}`);
  const configuration = await configurationOf(server, port, signal);
  if (configuration !== undefined) yield* judgeSshd(configuration, { isListening: server.mode === "tcp" });
  else if (server.mode !== "builtin" && wordOf(server) !== "inetd dropbear") {
    const isRoot = process.geteuid?.() === 0;
    yield fine("sshd", `its configuration cannot be told${isRoot ? "" : " by this user; root sees more"}`);
  }
  const onlyLogin = server.mode === "tcp" ? undefined : ownLoginUnlessRoot();
  const terminals = server.mode === "inetd" && onlyLogin !== undefined ? await lookAtTerminals() : undefined;
  if (terminals !== undefined) yield terminals;
  const { sessionKeys, acceptsKeys } = options;
  if (sessionKeys !== undefined) {
    const refusals = await refusedLogins(sessionKeys, server.mode);
    const isTcp = server.mode === "tcp";
    const trust = isTcp ? await lookAtTrustedKey(sessionKeys, { keys: folder.path, port }, signal) : undefined;
    const place = { onlyLogin: ownLoginUnlessRoot(), hasPolicy, server: wordOf(server), trust, refusals };
    yield judgeSessionKeys(sessionKeys, place);
  }
  const passwords = configuration?.get("passwordauthentication")?.[0] ?? (onlyLogin === undefined ? "yes" : "no");
  const others = {
    hasPasswords: passwords === "yes" && server.mode !== "builtin",
    hasOtherKeys: sessionKeys !== undefined || acceptsKeys,
    isOnlyLogin: onlyLogin !== undefined,
  };
  yield await judgeAuthorizedKeys(userInfo(), configuration, others);
}

async function portNotTaken(port: number): Promise<Finding> {
  const isThere = (await listeningSockets(port)) !== "";
  const why = isThere
    ? `what listens on 127.0.0.1:${port} is not taken: it is no SSH server, or has other host keys than clients know`
    : `nothing listens on 127.0.0.1:${port}, so it is not the server that was meant`;
  return toFix("ssh port", why, "Start an SSH server there; or leave --ssh-port out, and this one is meant");
}

/** Where an SSH server is expected if nothing is said. */
const SSH_PORT = 22;

function modeText(server: SshServer, { sshMode, sshPort }: DaemonOptions): string {
  const why = sshMode === "auto" ? "" : " (--ssh-mode)";
  if (server.mode === "tcp") return `the server that answers on 127.0.0.1:${sshPort}${why}`;
  if (server.mode === "builtin") return `the one that is built in${why}`;
  const only = process.geteuid?.() === 0 ? "" : `; only ${userInfo().username} can log in`;
  return `${wordOf(server)}: a process for each session, and no port${why}${only}`;
}

function wordOf(server: SshServer): string {
  return server instanceof AutoServer ? (server.word ?? server.mode) : server.mode;
}

/** Of the system's sshd, if it is the one that is used. */
async function configurationOf(
  server: SshServer,
  port: number,
  signal: AbortSignal,
): Promise<SshdConfiguration | undefined> {
  if (server.mode !== "tcp" && wordOf(server) !== "inetd sshd") return undefined;
  if (server.mode === "inetd" && process.geteuid?.() !== 0) return undefined; // it has none but ours
  const program = await findProgram("sshd");
  const found = program && (await readSshdConfiguration(program, [], signal).catch(() => undefined));
  if (found === undefined || typeof found === "string") return undefined;
  const isOurs = server.mode === "inetd" || found.get("port")?.includes(String(port)) === true;
  return isOurs ? found : undefined;
}

/** What `action` gives; or what to fix, when it fails. */
async function attempt<T extends object>(about: string, action: () => Promise<T>): Promise<T | Finding> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof SshnpError) return toFix(about, error.message, error.next);
    throw error;
  }
}

const SILENT = pino({ level: "silent" });
