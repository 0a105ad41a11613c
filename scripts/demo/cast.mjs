// Who takes part in the demo: directory, rendezvous, the device's SSH server and daemon as processes of their own, and
// the client's commands. All of it lives in one temporary folder and ends with it.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Child } from "./child.mjs";
import { startSshServer } from "./ssh-server.mjs";

/** How many of the first bytes of each direction the rendezvous shows. */
const EXCERPT_BYTES = 24;

export class Cast {
  #root;
  #signal;
  #folder;
  #children = new Set();

  /** @param {string} root of the repository @param {AbortSignal} signal ends everybody */
  constructor(root, signal) {
    this.#root = root;
    this.#signal = signal;
    signal.addEventListener("abort", () => void this.#endAll());
  }

  begin() {
    this.#folder = mkdtempSync(join(tmpdir(), "sshnp-demo-"));
  }

  async startDirectory() {
    this.directory = this.#service("sshnp-directory", "directory", [
      ...["run", "--data", this.path("np"), "--listen", "127.0.0.1:0"],
    ]);
    this.address = await this.directory.firstLine();
    return this.address;
  }

  async startRendezvous() {
    const secret = await this.#command("directory", ["rendezvous", "add", "demo", "--data", this.path("np")]);
    const file = this.path("rendezvous.secret");
    writeFileSync(file, secret, { mode: 0o600 });
    this.rendezvous = this.#service("sshnp-rendezvous", "rendezvous", [
      ...["run", "--data", this.path("rendezvous"), "--directory", this.address, "--cram-file", file],
      ...["--listen", "127.0.0.1:0", "--excerpt", `${EXCERPT_BYTES}`],
    ]);
    return await this.rendezvous.firstLine();
  }

  /** Activates a name and returns the fingerprint of its owner key. */
  async activate(name, options) {
    const secret = await this.#command("directory", ["name", "add", name, "--data", this.path("np")]);
    const keys = this.path(name.slice(1));
    const args = ["activate", "-a", name, "-c", "-", "--directory", this.address, "--keys", keys, ...options];
    const { stderr } = await this.run(process.execPath, [this.#main("keys"), ...args], { input: secret });
    const [owner] = /SHA256:\S{43}/.exec(stderr);
    if (name === "@device") this.deviceOwner = owner;
    else this.clientOwner = owner;
    return owner;
  }

  async startSshServer() {
    const folder = this.path("sshd");
    mkdirSync(folder);
    this.sshServer = await startSshServer(this, folder);
  }

  async startDaemon() {
    this.daemon = this.#service("sshnpd", "sshnpd", [
      ...["-a", "@device", "-m", `@client=${this.clientOwner}`, "-d", "mygateway"],
      ...["--keys", this.path("device"), "--ssh-port", `${this.sshServer.port}`],
    ]);
    return await this.daemon.firstLine();
  }

  /** Runs a command on the device. @returns {Promise<{ status: number, stdout: string, stderr: string }>} */
  async sshnp(command, options = {}) {
    const result = await this.#toEnd(process.execPath, this.#sshnpArguments(command), options);
    if (result.status === 255) throw new Error(`sshnp: ${result.stderr}`);
    return result;
  }

  /** The same by ssh alone, past everything else: for comparison. */
  async plainSsh(command) {
    const known = this.path("known_hosts");
    const { port, hostKey } = this.sshServer;
    writeFileSync(known, `[127.0.0.1]:${port} ${hostKey}\n`);
    const where = ["-p", `${port}`, "-o", `UserKnownHostsFile=${known}`, "127.0.0.1"];
    return await this.run("ssh", [...this.#identity(), ...where, ...command]);
  }

  /** scp, with what ~/.ssh/config would hold; here on the command line, so that no file of this account is touched. */
  async scp(from, to) {
    const proxy = `ProxyCommand="${process.execPath}" "${this.#main("sshnp")}" proxy --keys "${this.path("client")}" %h:%p`;
    const known = `UserKnownHostsFile=${this.path("client/state/known_hosts.mygateway.device.np")}`;
    const options = ["-o", proxy, "-o", known, "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"];
    await this.run("scp", ["-q", ...this.#identity(), ...options, from, `mygateway.device.np:${to}`]);
  }

  /** What the rendezvous logged of the first `count` sessions, once they have ended there. */
  async rendezvousLog(count) {
    return await this.rendezvous.until(`the log of ${count} sessions`, ({ stderr }) => {
      const lines = stderr.split("\n").filter((line) => line.includes('"session ended"') && line.endsWith("}"));
      return lines.length < count ? undefined : lines.map((line) => JSON.parse(line));
    });
  }

  /**
   * Whether the device's SSH server gives out terminals. As an ordinary user it has to hand them to the group tty, which
   * works where /dev/pts is mounted with that group (gid=5), as it commonly is.
   */
  async hasTerminals() {
    const { stdout } = await this.#toEnd(process.execPath, this.#sshnpArguments(["-tt", "tty"]));
    return stdout.startsWith("/dev/");
  }

  /** A shell on the device, or another command, on the terminal of whoever runs the demo. */
  async shell(command) {
    const child = spawn(process.execPath, this.#sshnpArguments(command), { stdio: "inherit" });
    const kill = () => child.kill();
    this.#signal.addEventListener("abort", kill);
    await new Promise((resolve) => child.on("close", resolve).on("error", resolve));
    this.#signal.removeEventListener("abort", kill);
    this.#signal.throwIfAborted();
  }

  /** What all who took part have said. */
  logs() {
    return [...this.#children].map((child) => child.log).join("");
  }

  /** Ends everybody and removes the folder. */
  async end() {
    await this.#endAll();
    if (this.#folder !== undefined) rmSync(this.#folder, { recursive: true, force: true, maxRetries: 10 });
  }

  /** Starts a process that goes on until the end. */
  start(name, file, args, options) {
    this.#signal.throwIfAborted();
    const child = new Child(name, file, args, options);
    this.#children.add(child);
    return child;
  }

  /** Runs a program to its end. @throws {Error} when its exit status is not 0 */
  async run(file, args, options) {
    const result = await this.#toEnd(file, args, options);
    if (result.status !== 0) throw new Error(`${file} ended with status ${result.status}: ${result.stderr}`);
    return result;
  }

  /** A path in the demo's folder. */
  path(name) {
    return join(this.#folder, name);
  }

  async #toEnd(file, args, options) {
    const child = this.start(file, file, args, options);
    const status = await child.ended;
    this.#signal.throwIfAborted();
    this.#children.delete(child);
    return { status, stdout: child.stdout, stderr: child.stderr };
  }

  async #endAll() {
    await Promise.all([...this.#children].map((child) => child.end()));
  }

  #service(name, room, args) {
    return this.start(name, process.execPath, [this.#main(room), ...args]);
  }

  async #command(room, args) {
    return (await this.run(process.execPath, [this.#main(room), ...args])).stdout;
  }

  #sshnpArguments(command) {
    const names = ["--keys", this.path("client"), "@client", `@device=${this.deviceOwner}`, "mygateway"];
    return [this.#main("sshnp"), ...names, ...this.#identity(), ...command];
  }

  /** Nothing of this account's own SSH set-up takes part. */
  #identity() {
    const { identityFile } = this.sshServer;
    return [
      "-F",
      "none",
      "-i",
      identityFile,
      ...["IdentitiesOnly=yes", "IdentityAgent=none", "BatchMode=yes"].flatMap(o),
    ];
  }

  #main(room) {
    return join(this.#root, "dist", room, "main.js");
  }
}

function o(option) {
  return ["-o", option];
}
