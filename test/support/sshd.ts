import { once } from "node:events";
import { chmod, chown, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import type { OrdinaryUser } from "./ordinary-user.ts";
import { type RunInside, type RunningProcess, runProcess, startProcess } from "./processes.ts";
import { temporaryFolder } from "./temp-folder.ts";

const PORT_ATTEMPTS = 5; // between finding a free port and the server's start another process may take it

export interface SshServerOptions {
  /** Runs the server as this user, who is then the only one to log in; else it runs as whoever runs the tests. */
  readonly user?: OrdinaryUser;
  /** As in sshd_config(5), e.g. `%h/.ssh/authorized_keys`; by default a file that admits `identityFile` alone. */
  readonly authorizedKeysFile?: string;
  /** By default a free one is chosen. */
  readonly port?: number;
  /** Runs it on the loopback of this namespace. */
  readonly namespace?: RunInside;
  /** As in sshd_config(5), of which the last one holds. */
  readonly maxStartups?: string;
  /** More lines of sshd_config(5). They come first, and of each option the first value holds. */
  readonly configuration?: readonly string[];
  /** The last lines of sshd_config(5), for a Match. */
  readonly last?: readonly string[];
}

/** An OpenSSH server of the test's own on 127.0.0.1, with nothing of the system's but the program. */
export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** Path of its sshd_config. */
  readonly configurationFile: string;
  /** Its public host keys as `TYPE BASE64`. */
  readonly hostKeys: readonly string[];
  /** A private key that it admits, and the public half as `TYPE BASE64`. */
  readonly identityFile: string;
  readonly identity: string;
  /** Options that make ssh use this server, its host keys and this identity, and no file of the person who runs the tests. */
  readonly sshOptions: readonly string[];
  /** The server; its stderr is the log. */
  readonly process: RunningProcess;
  /** Ends the server and all its sessions. */
  stop(): Promise<void>;
}

export async function startSshServer(options: SshServerOptions = {}): Promise<SshServer> {
  const folder = await temporaryFolder(options.user?.home);
  try {
    const { path } = folder;
    await chmod(path, 0o755); // whoever logs in must be able to read authorized_keys
    const hostKeys = [await makeKey(join(path, "host_ed25519")), await makeKey(join(path, "host_ecdsa"))];
    const identity = await makeKey(join(path, "identity_ed25519"));
    await writeFile(join(path, "authorized_keys"), `${identity}\n`);
    const { process, port } = await startOnPort(path, options);
    await writeFile(join(path, "known_hosts"), hostKeys.map((key) => `[127.0.0.1]:${port} ${key}\n`).join(""));
    const identityFile = join(path, "identity_ed25519");
    const stop = async (): Promise<void> => {
      await process.stop();
      await folder.remove();
    };
    return {
      port,
      configurationFile: join(path, "sshd_config"),
      hostKeys,
      identityFile,
      identity,
      sshOptions: sshOptions(port, join(path, "known_hosts"), identityFile),
      process,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await folder.remove();
    throw error;
  }
}

/** Makes `PATH` and `PATH.pub`, of the type that the file's name ends with. */
async function makeKey(path: string): Promise<string> {
  const type = path.slice(path.lastIndexOf("_") + 1);
  const arguments_ = ["-q", "-t", type, "-N", "", "-C", "", "-f", path];
  const { code, stderr } = await runProcess("ssh-keygen", arguments_, { env: { HOME: "/nonexistent" }, cwd: "/" });
  if (code !== 0) throw new Error(`ssh-keygen: ${stderr}`);
  return (await readFile(`${path}.pub`, "utf8")).trim();
}

async function startOnPort(
  folder: string,
  options: SshServerOptions,
): Promise<{ process: RunningProcess; port: number }> {
  const runsAsRoot = options.user === undefined && process.getuid?.() === 0;
  // The folder into which OpenSSH locks the part that talks to strangers; Debian's service makes it at start.
  if (runsAsRoot) await mkdir("/run/sshd", { recursive: true, mode: 0o755 });
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await findFreePort());
    const file = join(folder, "sshd_config");
    await writeFile(file, serverConfiguration(folder, port, options));
    if (options.user !== undefined) await giveTo(options.user, folder);
    const where = {
      ...(options.user && { user: options.user }),
      ...(options.namespace && { namespace: options.namespace }),
    };
    const server = startProcess("/usr/sbin/sshd", ["-D", "-e", "-f", file], { env: { HOME: folder }, ...where });
    try {
      await server.errorLine(/^Server listening on 127\.0\.0\.1 /);
      return { process: server, port };
    } catch (error) {
      await server.stop();
      if (options.port !== undefined || attempt === PORT_ATTEMPTS || !server.stderr.includes("in use")) throw error;
    }
  }
}

function serverConfiguration(folder: string, port: number, options: SshServerOptions): string {
  const lines = [
    ...(options.configuration ?? []),
    `ListenAddress 127.0.0.1:${port}`,
    `HostKey ${folder}/host_ed25519`,
    `HostKey ${folder}/host_ecdsa`,
    `AuthorizedKeysFile ${options.authorizedKeysFile ?? `${folder}/authorized_keys`}`,
    "PidFile none",
    "StrictModes no", // folders of tests lie below /tmp, which everybody may write to
    "UsePAM no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitRootLogin prohibit-password",
    "PermitUserRC no",
    "SetEnv SHLVL=1", // bash reads the account's .bashrc for a shell that sshd starts, but for none inside of another one
    `MaxStartups ${options.maxStartups ?? "1000"}`, // the default drops some of many connections that come at once
    "LogLevel VERBOSE",
    "Subsystem sftp internal-sftp",
    ...(options.last ?? []),
  ];
  return `${lines.join("\n")}\n`;
}

function sshOptions(port: number, knownHosts: string, identityFile: string): string[] {
  const values = [
    "BatchMode yes",
    "HostName 127.0.0.1",
    `Port ${port}`,
    "StrictHostKeyChecking yes",
    `UserKnownHostsFile ${knownHosts}`,
    "GlobalKnownHostsFile none",
    `IdentityFile ${identityFile}`,
    "IdentitiesOnly yes",
    "IdentityAgent none",
  ];
  return ["-F", "none", ...values.flatMap((value) => ["-o", value])];
}

async function giveTo(user: OrdinaryUser, folder: string): Promise<void> {
  const names = await readdir(folder);
  for (const path of [folder, ...names.map((name) => join(folder, name))]) await chown(path, user.uid, user.gid);
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
