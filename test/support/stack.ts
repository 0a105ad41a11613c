import { mkdir } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import {
  type CommandName,
  type Exit,
  type ProcessOptions,
  type RunInside,
  type RunningProcess,
  runCommand,
  runProcess,
  startCommand,
} from "./processes.ts";
import { MetricsPort } from "./metrics.ts";
import { addName, addRendezvous } from "./one-time-secrets.ts";
import { type SshServer, type SshServerOptions, startSshServer } from "./sshd.ts";
import { startTcpTap, type TcpTap } from "./tcp-tap.ts";
import { type TemporaryFolder, temporaryFolder } from "./temp-folder.ts";

/** Network namespaces for the machines, and the address at which both others reach the server. */
export interface StackNetwork {
  readonly server: RunInside;
  readonly device: RunInside;
  readonly client: RunInside;
  readonly address: string;
}

export interface StackOptions {
  readonly sshd?: SshServerOptions;
  /** More words for sshnpd, such as `-s`. */
  readonly daemon?: readonly string[];
  /** More words for the directory. */
  readonly directory?: readonly string[];
  /** More words for the rendezvous. */
  readonly rendezvous?: readonly string[];
  /** Lets everybody reach the rendezvous directly, for loads that a tap would slow down and keep. */
  readonly withoutTap?: boolean;
  /** Leaves sshnpd for the test to start. */
  readonly withoutDaemon?: boolean;
  /** Puts each machine into a namespace of its own; there is no tap then, and ports are fixed. */
  readonly network?: StackNetwork;
}

/** Of a server that has its network for itself. */
export const SERVER_PORTS = { directory: 7800, rendezvous: 7801 } as const;

/** A machine of the system: a home of its own for the commands that run on it. */
export class Machine {
  readonly home: string;
  readonly #namespace: RunInside | undefined;

  constructor(home: string, namespace?: RunInside) {
    this.home = home;
    this.#namespace = namespace;
  }

  /** Where keys lie by default. */
  get keys(): string {
    return join(this.home, ".local/share/sshnp/keys");
  }

  get options(): ProcessOptions {
    const namespace = this.#namespace === undefined ? {} : { namespace: this.#namespace };
    return { env: { HOME: this.home }, ...namespace };
  }

  start(command: CommandName, ...words: string[]): RunningProcess {
    return startCommand(command, words, this.options);
  }

  run(command: CommandName, ...words: string[]): Promise<Exit> {
    return runCommand(command, words, this.options);
  }

  /** Runs a command that must succeed, and returns what it prints. */
  async must(command: CommandName, ...words: string[]): Promise<string> {
    const exit = await this.run(command, ...words);
    if (exit.code !== 0) throw new Error(`${command} ${words.join(" ")}: status ${exit.code}\n${exit.stderr}`);
    return exit.stdout.trim();
  }
}

/**
 * A whole system of real processes from dist/, each on a port that the kernel chose: a directory, a rendezvous behind a
 * tap that keeps what passes, an OpenSSH server, and mygateway of @device, which admits @client. To be disposed of.
 */
export class Stack implements AsyncDisposable {
  readonly server: Machine;
  readonly device: Machine;
  readonly client: Machine;
  readonly sshd: SshServer;
  /** Between everybody and the rendezvous. */
  readonly tap: TcpTap;
  readonly #folder: TemporaryFolder;
  readonly #options: StackOptions;
  #address = "";
  #rendezvousPort = 0;
  #directory: RunningProcess | undefined;
  #rendezvous: RunningProcess | undefined;
  #daemon: RunningProcess | undefined;

  static async start(options: StackOptions = {}): Promise<Stack> {
    const folder = await temporaryFolder();
    for (const name of ["server", "device", "client"]) await mkdir(join(folder.path, name), { mode: 0o700 });
    const { network } = options;
    const sshd = await startSshServer({ ...(network && { namespace: network.device }), ...options.sshd });
    let port = (): number => 0;
    const tap = await startTcpTap(() => port());
    const stack = new Stack(folder, options, sshd, tap);
    port = () => stack.#rendezvousPort;
    try {
      await stack.#bringUp();
      return stack;
    } catch (error) {
      await stack[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(folder: TemporaryFolder, options: StackOptions, sshd: SshServer, tap: TcpTap) {
    this.#folder = folder;
    this.#options = options;
    this.sshd = sshd;
    this.tap = tap;
    const { network } = options;
    this.server = new Machine(join(folder.path, "server"), network?.server);
    this.device = new Machine(join(folder.path, "device"), network?.device);
    this.client = new Machine(join(folder.path, "client"), network?.client);
  }

  /** The directory's address. */
  get address(): string {
    return this.#address;
  }

  get directory(): RunningProcess {
    return running(this.#directory);
  }

  get rendezvous(): RunningProcess {
    return running(this.#rendezvous);
  }

  /** Where the rendezvous itself listens, whatever stands in front of it. */
  get rendezvousPort(): number {
    return this.#rendezvousPort;
  }

  /** The sshnpd that was started last. */
  get daemon(): RunningProcess {
    return running(this.#daemon);
  }

  /** The account that the OpenSSH server lets in. */
  get login(): string {
    return this.#options.sshd?.user?.name ?? userInfo().username;
  }

  /** ssh's options for the identity that the server admits, and none of the configuration of whoever runs the tests. */
  get sshOptions(): readonly string[] {
    const options = [
      "BatchMode=yes",
      `IdentityFile=${this.sshd.identityFile}`,
      "IdentitiesOnly=yes",
      "IdentityAgent=none",
    ];
    return ["-F", "none", ...options.flatMap((option) => ["-o", option])];
  }

  /** The words of `sshnp @client @device LOGIN@mygateway` with those options and then `words`. */
  words(...words: string[]): string[] {
    return ["@client", "@device", `${this.login}@mygateway`, ...this.sshOptions, ...words];
  }

  /** Runs `sshnp @client @device LOGIN@mygateway ... WORDS` on the client, to its end. */
  ssh(...words: string[]): Promise<Exit> {
    return this.client.run("sshnp", ...this.words(...words));
  }

  startSsh(...words: string[]): RunningProcess {
    return this.client.start("sshnp", ...this.words(...words));
  }

  /** Starts the directory, again where it was if it was there before. */
  async startDirectory(...words: string[]): Promise<RunningProcess> {
    const { network } = this.#options;
    const first = network === undefined ? "127.0.0.1:0" : `${network.address}:${SERVER_PORTS.directory}`;
    const listen = /[\d.]+:\d+/.exec(this.#address)?.[0] ?? first;
    const data = join(this.server.home, "directory");
    const more = this.#options.directory ?? [];
    this.#directory = this.server.start(
      "sshnp-directory",
      "run",
      "--data",
      data,
      "--listen",
      listen,
      ...more,
      ...words,
    );
    [this.#address = ""] = await this.#directory.line(/^https?:\/\/[\d.]+:\d+#SHA256:\S+$/);
    return this.#directory;
  }

  /** Starts the rendezvous, on another port each time and the tap leads there; or at its place in the network. */
  async startRendezvous(...words: string[]): Promise<RunningProcess> {
    const { network, withoutTap } = this.#options;
    const data = join(this.server.home, "rendezvous");
    const behindTap = withoutTap === true ? [] : ["--public", `127.0.0.1:${this.tap.port}`];
    const at =
      network === undefined
        ? ["--listen", "127.0.0.1:0", ...behindTap]
        : ["--listen", `${network.address}:${SERVER_PORTS.rendezvous}`];
    const where = ["run", "--data", data, "--directory", this.address, ...at];
    const more = [...(this.#options.rendezvous ?? []), ...words];
    this.#rendezvous = this.server.start("sshnp-rendezvous", ...where, ...more);
    await this.#rendezvous.line(/:\d+$/);
    if (network !== undefined) return this.#rendezvous;
    const metrics = more.includes("--metrics") ? (await MetricsPort.of(this.#rendezvous)).port : undefined;
    this.#rendezvousPort = await listeningPort(this.#rendezvous.pid, metrics);
    return this.#rendezvous;
  }

  /** Starts sshnpd and waits until it is online. */
  async startDaemon(...words: string[]): Promise<RunningProcess> {
    const own = ["-a", "@device", "-m", "@client", "-d", "mygateway", "--ssh-port", String(this.sshd.port)];
    this.#daemon = this.device.start("sshnpd", ...own, ...(this.#options.daemon ?? []), ...words);
    await this.#daemon.line(/^online: mygateway\.device\.np$/);
    return this.#daemon;
  }

  /** A one-time secret for a name. */
  async addName(name: string): Promise<string> {
    return await addName(join(this.server.home, "directory"), name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of [this.#daemon, this.#rendezvous, this.#directory]) await process?.stop();
    await this.sshd.stop();
    await this.tap[Symbol.asyncDispose]();
    await this.#folder.remove();
  }

  async #bringUp(): Promise<void> {
    await this.startDirectory();
    const secret = await addRendezvous(join(this.server.home, "directory"), "rz1");
    await Promise.all([
      this.startRendezvous("-c", secret),
      this.#activate(this.device, "@device", "-d", "mygateway"),
      this.#activate(this.client, "@client"),
    ]);
    if (this.#options.withoutDaemon !== true) await this.startDaemon();
  }

  async #activate(machine: Machine, name: string, ...words: string[]): Promise<void> {
    const secret = await this.addName(name);
    await machine.must("sshnp-keys", "activate", "-a", name, "-c", secret, "--directory", this.address, ...words);
  }
}

/** The port on which a process listens, beside that one; behind a tap it names another one. */
async function listeningPort(pid: number, beside: number | undefined): Promise<number> {
  const { stdout } = await runProcess("ss", ["-Hltnp"], { env: { HOME: "/nonexistent" }, cwd: "/" });
  const lines = stdout.split("\n").filter((entry) => entry.includes(`pid=${pid},`));
  const ports = lines.map((line) => Number(/127\.0\.0\.1:(\d+)/.exec(line)?.[1]));
  const port = ports.find((one) => one !== beside && !Number.isNaN(one));
  if (port === undefined) throw new Error(`process ${pid} listens nowhere:\n${stdout}`);
  return port;
}

function running(process: RunningProcess | undefined): RunningProcess {
  if (process === undefined) throw new Error("it was never started");
  return process;
}
