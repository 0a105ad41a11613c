import { once } from "node:events";
import { cpSync, existsSync } from "node:fs";
import { chmod, chown, mkdir, readFile, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { userInfo } from "node:os";
import { dirname, join } from "node:path";
import { Client, type ConnectConfig } from "ssh2";
import { startBuilt } from "../../support/built-module.ts";
import type { OrdinaryUser } from "../../support/ordinary-user.ts";
import {
  type Exit,
  type RunInside,
  type RunningProcess,
  runProcess,
  startProcess,
  type WaitOptions,
} from "../../support/processes.ts";
import { temporaryFolder } from "../../support/temp-folder.ts";

const ROOT = join(import.meta.dirname, "../../..");

/** What the bundle has in it, and whoever runs plain files needs beside them. */
const BUNDLED = ["ssh2", "asn1", "bcrypt-pbkdf", "tweetnacl", "safer-buffer"];

export interface HarnessOptions {
  /** Runs the server as this user; else as root, who may log any account in. */
  readonly user?: OrdinaryUser;
  /** Starts the server in it. */
  readonly namespace?: RunInside;
  readonly sftpServer?: "auto" | "own";
  /** The login that the session was asked for. */
  readonly login?: string;
  /** Runs in the process ahead of the server. */
  readonly prelude?: string;
}

/** The server in a process of its own, which attends whoever connects to a socket in the file system, and OpenSSH beside it. */
export class Harness implements AsyncDisposable {
  readonly process: RunningProcess;
  readonly folder: string;
  /** Who logs in by default, who the key of identity is admitted for. */
  readonly socket: string;
  readonly #remove: () => Promise<void>;

  private constructor(process: RunningProcess, folder: string, remove: () => Promise<void>) {
    this.process = process;
    this.folder = folder;
    this.socket = join(folder, "socket");
    this.#remove = remove;
  }

  static async start(options: HarnessOptions = {}): Promise<Harness> {
    const folder = await temporaryFolder(options.user?.home);
    await chmod(folder.path, 0o755);
    const keys = join(folder.path, "keys");
    await mkdir(keys, { mode: 0o700 });
    if (options.user !== undefined) {
      for (const path of [folder.path, keys]) await chown(path, options.user.uid, options.user.gid);
      for (const name of BUNDLED) copyPackage(options.user.installation, name);
    }
    const argument = JSON.stringify({
      ...options,
      user: undefined,
      namespace: undefined,
      keys,
      socket: join(folder.path, "socket"),
    });
    const process = startBuilt(folder, SCRIPT, argument, options.user, options.namespace);
    await makeKey(join(folder.path, "id_ed25519"));
    const [, hostKey = ""] = await process.line(/^ready (.+)$/);
    await writeFile(join(folder.path, "known_hosts"), `builtin ${hostKey}\n`);
    return new Harness(process, folder.path, () => folder.remove());
  }

  /** Options of ssh, scp and sftp. */
  options(...more: readonly string[]): string[] {
    const values = [
      ...more, // the first counts
      "BatchMode yes",
      `ProxyCommand socat - UNIX-CONNECT:${this.socket}`,
      "HostKeyAlias builtin",
      "StrictHostKeyChecking yes",
      `UserKnownHostsFile ${join(this.folder, "known_hosts")}`,
      "GlobalKnownHostsFile none",
      `IdentityFile ${join(this.folder, "id_ed25519")}`,
      "IdentitiesOnly yes",
      "IdentityAgent none",
      "LogLevel ERROR",
    ];
    return ["-F", "none", ...values.flatMap((value) => ["-o", value])];
  }

  get publicKey(): Promise<string> {
    return readFile(join(this.folder, "id_ed25519.pub"), "utf8").then((text) => text.trim());
  }

  /** Starts OpenSSH's ssh with these words after its own options. */
  start(words: readonly string[], options: readonly string[] = []): RunningProcess {
    return startProcess("ssh", [...this.options(...options), ...words], { env: { HOME: this.folder } });
  }

  /** Runs it to its end, with no input. */
  async run(words: readonly string[], options: readonly string[] = [], wait?: WaitOptions): Promise<Exit> {
    const ssh = this.start(words, options);
    ssh.stdin.end();
    return await ssh.exit(wait);
  }

  /** Runs scp or sftp. */
  async copy(program: "scp" | "sftp", words: readonly string[], input = ""): Promise<Exit> {
    const running = startProcess(program, [...this.options(), ...words], { env: { HOME: this.folder } });
    running.stdin.end(input);
    return await running.exit({ timeoutMs: 60_000 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.stop();
    await this.#remove();
  }
}

/** Admits a key for a user that a test has made; `line` is the whole of authorized_keys. */
export async function authorize(user: OrdinaryUser, line: string): Promise<void> {
  const folder = join(user.home, ".ssh");
  await mkdir(folder, { mode: 0o700, recursive: true });
  const file = join(folder, "authorized_keys");
  await writeFile(file, `${line}\n`, { mode: 0o600 });
  for (const path of [folder, file]) await chown(path, user.uid, user.gid);
}

/** ssh2's client, logged in with the key of the harness. */
export async function loggedIn(server: Harness, username: string, options: ConnectConfig = {}): Promise<Client> {
  const client = new Client();
  client.on("error", () => {});
  const privateKey = await readFile(join(server.folder, "id_ed25519"));
  client.connect({ sock: connect(server.socket), username, privateKey, ...options });
  await once(client, "ready");
  return client;
}

export async function makeKey(path: string, type = "ed25519"): Promise<void> {
  const { code, stderr } = await runProcess("ssh-keygen", ["-q", "-t", type, "-N", "", "-C", "", "-f", path], {
    env: { HOME: "/nonexistent" },
    cwd: "/",
  });
  if (code !== 0) throw new Error(stderr);
}

export const ME = userInfo().username;

function copyPackage(installation: string, name: string): void {
  const path = join("node_modules", name);
  if (existsSync(join(installation, path))) return;
  cpSync(join(ROOT, path), join(installation, path), { recursive: true });
  if (!existsSync(dirname(join(installation, path)))) throw new Error("not copied");
}

const SCRIPT = `
const { createServer } = await import("node:net");
const options = JSON.parse(argument);
if (options.prelude) await eval("(async () => {" + options.prelude + "})()");
const { PrivateFolder } = await load("keys/private-folder.js");
const { createLog } = await load("sshnpd/log.js");
const { BuiltinServer } = await load("sshnpd/builtin/server.js");
const server = await BuiltinServer.open({
  folder: await PrivateFolder.openOrCreate(options.keys),
  log: createLog(true),
  sftpServer: options.sftpServer,
});
process.umask(0);
process.stdin.once("data", () => server.close().then(() => console.log("closed")));
let attending = 0;
createServer({ allowHalfOpen: true }, (socket) => {
  attending++;
  server.attend(socket, { client: "@client", member: "laptop", login: options.login ?? "" }).then(() => {
    console.log("attended, " + --attending + " left");
  });
}).listen(options.socket, () => {
  console.log("ready ssh-ed25519 " + Buffer.from(server.hostKeys()[0]).toString("base64"));
});
`;
