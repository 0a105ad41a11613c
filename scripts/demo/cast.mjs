// Who takes part in the demo: directory, rendezvous, the device's SSH server and daemon as processes of their own, and
// the client's commands. All of it lives in one temporary folder and ends with it.
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { Actor } from "./actor.mjs";

export class Cast {
  folder = mkdtempSync(join(tmpdir(), "sshnp-demo-"));
  shellIsOpen = false;
  #root;
  #actors = [];
  #sshPort;

  constructor(root) {
    this.#root = root;
  }

  async startDirectory() {
    this.directory = this.#start(
      "sshnp-directory",
      "directory",
      "run",
      "--data",
      this.#path("np"),
      "--listen",
      "127.0.0.1:0",
    );
    this.address = await this.directory.firstLine();
    return this.address;
  }

  async startRendezvous(address) {
    const secret = this.#run("directory", ["rendezvous", "add", "demo", "--data", this.#path("np")]).trim();
    const secretFile = this.#path("rendezvous.secret");
    writeFileSync(secretFile, `${secret}\n`, { mode: 0o600 });
    this.rendezvous = this.#start(
      "sshnp-rendezvous",
      "rendezvous",
      ...["run", "--data", this.#path("rendezvous"), "--directory", address, "--cram-file", secretFile],
      ...["--listen", "127.0.0.1:0", "--excerpt", "32"],
    );
    return await this.rendezvous.firstLine();
  }

  /** Activates a name and returns the fingerprint of its owner key. */
  activate(name, options) {
    const secret = this.#run("directory", ["name", "add", name, "--data", this.#path("np")]);
    const keys = this.#path(name.slice(1));
    const args = ["activate", "-a", name, "-c", "-", "--directory", this.address, "--keys", keys, ...options];
    const { stderr, status } = spawnSync(process.execPath, [this.#main("keys"), ...args], {
      input: secret,
      encoding: "utf8",
    });
    if (status !== 0) throw new Error(`sshnp-keys activate: ${stderr}`);
    return /SHA256:\S{43}/.exec(stderr)[0];
  }

  async startSshServer() {
    if (process.getuid() === 0) mkdirSync("/run/sshd", { recursive: true, mode: 0o755 }); // sshd insists on it
    const folder = this.#path("sshd");
    mkdirSync(folder, { mode: 0o700 });
    for (const key of ["host", "user"]) {
      execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "", "-f", join(folder, key)]);
    }
    this.#sshPort = await freePort();
    const lines = [
      `ListenAddress 127.0.0.1:${this.#sshPort}`,
      `HostKey ${join(folder, "host")}`,
      `AuthorizedKeysFile ${join(folder, "user.pub")}`,
      "PidFile none",
      "StrictModes no",
      "UsePAM no",
      "PasswordAuthentication no",
      "KbdInteractiveAuthentication no",
      "PermitRootLogin prohibit-password",
      "Subsystem sftp internal-sftp",
    ];
    writeFileSync(join(folder, "sshd_config"), `${lines.join("\n")}\n`);
    chmodSync(folder, 0o755);
    const server = this.#begin("sshd", "/usr/sbin/sshd", ["-D", "-e", "-f", join(folder, "sshd_config")]);
    await server.until("its start", ({ stderr }) => (stderr.includes("Server listening") ? true : undefined));
  }

  async startDaemon(deviceOwner, clientOwner) {
    this.daemon = this.#start(
      "sshnpd",
      "sshnpd",
      ...["-a", "@device", "-m", `@client=${clientOwner}`, "-d", "mygateway"],
      ...["--keys", this.#path("device"), "--ssh-port", `${this.#sshPort}`],
    );
    this.deviceOwner = deviceOwner;
    return await this.daemon.firstLine();
  }

  /** Runs a command on the device and returns its stdout. */
  sshnp(command, options = {}) {
    return this.#checked(
      "sshnp",
      spawnSync(process.execPath, this.#sshnpArgs(command), { ...options, encoding: "utf8" }),
    );
  }

  sshnpStatus(command) {
    return spawnSync(process.execPath, this.#sshnpArgs(command)).status;
  }

  scp(from, to) {
    // What ssh-config would hold; here on the command line, so that nothing of this account is touched.
    const proxy = `ProxyCommand="${process.execPath}" "${this.#main("sshnp")}" proxy --client @client --keys "${this.#path("client")}" %r@%h:22`;
    const known = [
      "-o",
      `UserKnownHostsFile=${this.#path("client/state/known_hosts")}`,
      "-o",
      "StrictHostKeyChecking=yes",
    ];
    const result = spawnSync(
      "scp",
      [...this.#identity(), "-q", "-o", proxy, ...known, from, `mygateway.device.np:${to}`],
      {
        encoding: "utf8",
      },
    );
    this.#checked("scp", result);
  }

  /** What the rendezvous logged of `count` sessions at least. */
  async rendezvousLog(count) {
    return await this.rendezvous.until(`the log of ${count} sessions`, ({ stderr }) => {
      const entries = stderr
        .split("\n")
        .flatMap((line) => (line.includes('"sid"') && line.includes("bytes") ? [JSON.parse(line)] : []));
      return entries.length < count ? undefined : entries.map((entry) => ({ text: describe(entry) }));
    });
  }

  /** Time of whole `sshnp ... true` commands, beside a bare ssh to the same server. */
  connectTimes(count) {
    const measure = (file, args) => {
      const times = Array.from({ length: count }, () => {
        const start = performance.now();
        this.#checked(file, spawnSync(file, args, { encoding: "utf8" }));
        return performance.now() - start;
      }).toSorted((a, b) => a - b);
      return `fastest ${times[0].toFixed(0)} ms, median ${times[count >> 1].toFixed(0)} ms`;
    };
    const direct = [
      ...this.#identity(),
      "-p",
      `${this.#sshPort}`,
      "-o",
      `UserKnownHostsFile=${this.#path("known_hosts")}`,
    ];
    const host = readFileSync(this.#path("sshd/host.pub"), "utf8");
    writeFileSync(this.#path("known_hosts"), `[127.0.0.1]:${this.#sshPort} ${host}`);
    return [
      `node -e 0                         ${measure(process.execPath, ["-e", "0"])}`,
      `ssh 127.0.0.1 true                ${measure("ssh", [...direct, "127.0.0.1", "true"])}`,
      `sshnp @client @device mygateway true   ${measure(process.execPath, this.#sshnpArgs(["true"]))}`,
    ].join("\n");
  }

  shell() {
    this.shellIsOpen = true;
    spawnSync(process.execPath, this.#sshnpArgs([]), { stdio: "inherit" });
    this.shellIsOpen = false;
  }

  logs() {
    return this.#actors.map((actor) => actor.log).join("");
  }

  stop() {
    for (const actor of this.#actors.splice(0).toReversed()) actor.stop();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
  }

  #sshnpArgs(command) {
    const us = [
      "--keys",
      this.#path("client"),
      "@client",
      `@device=${this.deviceOwner}`,
      `${userInfo().username}@mygateway`,
    ];
    return [this.#main("sshnp"), ...us, ...this.#identity(), ...command];
  }

  /** Nothing of this account's own SSH set-up takes part. */
  #identity() {
    const key = this.#path("sshd/user");
    return ["-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"];
  }

  #start(name, room, ...args) {
    return this.#begin(name, process.execPath, [this.#main(room), ...args]);
  }

  #begin(name, file, args) {
    const actor = new Actor(name, file, args);
    this.#actors.push(actor);
    return actor;
  }

  #run(room, args) {
    return this.#checked(room, spawnSync(process.execPath, [this.#main(room), ...args], { encoding: "utf8" }));
  }

  #checked(name, { status, stdout, stderr, error }) {
    if (status !== 0) throw new Error(`${name} ended with status ${status}: ${error?.message ?? ""}${stderr}`);
    return stdout;
  }

  #main(room) {
    return join(this.#root, "dist", room, "main.js");
  }

  #path(name) {
    return join(this.folder, name);
  }
}

function describe(entry) {
  return JSON.stringify(entry, null, 2);
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}
