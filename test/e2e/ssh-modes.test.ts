import { openFiles } from "../support/open-files.ts";
import { createHash, randomBytes } from "node:crypto";
import { chown, cp, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  commandFile,
  type Exit,
  runCommand,
  isRunning,
  type RunInside,
  type RunningProcess,
  runProcess,
  startCommand,
  startProcess,
} from "../support/processes.ts";
import { freePort } from "../support/free-port.ts";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { Stack } from "../support/stack.ts";
import { usualTerminals } from "../support/usual-terminals.ts";

// As root the system's sshd_config and host keys count, which are read and left alone; an ordinary user logs in, always.
describe.skipIf(!CAN_MAKE_USERS)("on a device where no SSH server listens", () => {
  let user: OrdinaryUser;
  let stack: Stack;
  let closedPort: string;
  let terminals: RunInside;
  let holder: RunningProcess;
  let daemon: RunningProcess;
  beforeAll(async () => {
    user = await ordinaryUser();
    [terminals, holder] = await usualTerminals();
    stack = await Stack.start({ sshd: { user }, withoutDaemon: true });
    closedPort = String(await freePort());
    await mkdir(join(user.home, ".ssh"), { mode: 0o700 });
    await writeFile(join(user.home, ".ssh/authorized_keys"), `${stack.sshd.identity}\n`, { mode: 0o600 });
    await cp(stack.device.keys, join(user.home, "keys"), { recursive: true });
    for (const folder of [".ssh", "keys"]) await giveTo(user, join(user.home, folder));
  });
  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
    await user.remove();
    await holder.stop();
  });

  describe.each([
    ["sshd", "root"],
    ["sshd", "user"],
    ["dropbear", "user"],
  ] as const)("%s for each session, run by %s,", (program, runner) => {
    beforeAll(async () => {
      const words = program === "sshd" ? [] : ["--ssh-mode", "inetd", "--ssh-program", "/usr/sbin/dropbear"];
      daemon = await startDaemon(runner, "--ssh-port", closedPort, ...words);
      await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np"); // each has host keys of its own
    });
    afterAll(async () => void (await daemon.stop()));

    test("commands run with their status and every byte, as the user asked for, and nothing listens meanwhile", async () => {
      const sent = randomBytes(1_000_000);
      const session = stack.startSsh("echo $(whoami) >&2; sha256sum; exit 7");
      await session.errorLine(new RegExp(`^${user.name}$`));
      const { pid } = await lastChild();
      expect(await listening([daemon.pid, ...(await membersOf(pid))])).toEqual([]);
      session.stdin.end(sent);
      const sum = createHash("sha256").update(sent).digest("hex");
      expect(await session.exit()).toMatchObject({ code: 7, stdout: `${sum}  -\n` });
      await expect.poll(() => isRunning(pid)).toBe(false);
    });

    test("a terminal is there when it is asked for", async () => {
      const session = stack.startSsh("-tt", "stty size; tty; exit 4");
      session.stdin.write("");
      expect(await session.exit()).toMatchObject({
        code: 4,
        stdout: expect.stringMatching(/^\d+ \d+\r\n\/dev\/pts\/\d+\r\n/),
      });
    });

    test("files are copied", async () => {
      const file = join(stack.client.home, `file-${program}`);
      const bytes = randomBytes(300_000);
      await writeFile(file, bytes);
      const proxy = `ProxyCommand=${process.execPath} ${commandFile("sshnp")} proxy %r@%h:%p`;
      const options = [
        ...stack.sshOptions,
        "-o",
        proxy,
        "-o",
        `UserKnownHostsFile=${stack.client.keys}/state/known_hosts.%h`,
        "-o",
        "GlobalKnownHostsFile=/dev/null",
      ];
      // dropbear has no sftp of its own
      const how = program === "dropbear" ? ["-O"] : [];
      const to = `${user.name}@mygateway.device.np:copy-${program}-${runner}`;
      expect(await runProcess("scp", ["-q", ...how, ...options, file, to], stack.client.options)).toMatchObject({
        code: 0,
      });
      expect((await readFile(join(user.home, `copy-${program}-${runner}`))).equals(bytes)).toBe(true);
    });

    test("a command has nothing open of another session's terminal, nor anything else that it did not open", async () => {
      const terminal = stack.startSsh("-tt", "echo up; exec cat");
      await terminal.line(/^up\r$/);
      const { stdout } = await stack.startSsh("exec ls -l /proc/self/fd").exit();
      const open = [...stdout.matchAll(/ ([0-9]+) -> (\S+)/g)].map(([, number, target]) => ({ number, target }));
      expect(open.map(({ number }) => number)).toEqual(expect.arrayContaining(["0", "1", "2", "3"]));
      expect(stdout).not.toContain("ptmx");
      // What whoever runs the tests has left open for all that is started here.
      const bystander = startProcess("sleep", ["1000"], { env: { HOME: "/nonexistent" }, cwd: "/" });
      const inherited = openFiles(bystander.pid).map(({ number }) => String(number));
      expect(open.filter(({ number = "" }) => Number(number) > 3 && !inherited.includes(number))).toEqual([]);
      await Promise.all([terminal.stop(), bystander.stop()]);
    });

    const testAsUser = runner === "user" ? test : () => {};
    testAsUser("somebody else cannot log in, and is told why", async () => {
      const exit = await stack.client.run("sshnp", "@client", "@device", "root@mygateway", ...stack.sshOptions, "id");
      expect(exit.code).toBe(255);
      expect(exit.stderr).toContain(`so only ${user.name} can log in, not root`);
      expect(exit.stderr).toContain("[E_NO_SSHD]");
    });

    test("our log tells whose process that was, and what it said; it saw nothing of our environment", async () => {
      const session = stack.startSsh("echo ready; cat");
      await session.line(/^ready$/);
      const { pid, client, member, sid } = await lastChild();
      expect({ client, member, sid }).toEqual({
        client: "@client",
        member: expect.stringMatching(/-client$/),
        sid: expect.any(String),
      });
      expect(await readFile(`/proc/${pid}/environ`, "latin1")).not.toMatch(/SSHNP|HOME=/);
      expect(await groupOf(pid)).toBe(pid);
      if (program === "sshd") {
        const said = await logged((line) => line.pid === pid && line.line?.startsWith("Accepted publickey") === true);
        expect(said.line).toContain(`for ${user.name} from`);
      }
      session.stdin.end();
      expect(await session.exit()).toMatchObject({ code: 0 });
    });

    test.each(["SIGTERM", "SIGKILL"] as const)(
      "%s of the daemon leaves no process of the server behind",
      async (signal) => {
        const session = stack.startSsh("echo ready; cat");
        await session.line(/^ready$/);
        const { pid } = await lastChild();
        const family = await membersOf(pid);
        expect(family.length).toBeGreaterThan(0);
        await daemon.kill(signal);
        await expect.poll(() => family.filter(isRunning), { timeout: 10_000 }).toEqual([]);
        await session.stop();
        daemon = await startDaemon(
          runner,
          ...(program === "sshd"
            ? ["--ssh-port", closedPort]
            : ["--ssh-mode", "inetd", "--ssh-program", "/usr/sbin/dropbear"]),
        );
      },
    );
  });

  test("dropbear that root runs lets in whoever it is meant for", async () => {
    daemon = await startDaemon("root", "--ssh-mode", "inetd", "--ssh-program", "/usr/sbin/dropbear");
    await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np");
    expect(await stack.ssh("whoami; exit 3")).toMatchObject({ code: 3, stdout: `${user.name}\n` });
    await daemon.stop();
  });

  test("dbclient comes in through sshnp proxy, to dropbear", async () => {
    daemon = await startDaemon("user", "--ssh-mode", "inetd", "--ssh-program", "/usr/sbin/dropbear");
    await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np");
    const home = stack.client.home;
    const key = join(home, "dbclient-key");
    const made = await runProcess("dropbearkey", ["-t", "ed25519", "-f", key], stack.client.options);
    const [line = ""] = /^ssh-ed25519 \S+/m.exec(made.stdout) ?? [];
    await writeFile(join(user.home, ".ssh/authorized_keys"), `${stack.sshd.identity}\n${line}\n`);
    const proxy = `node ${commandFile("sshnp")} proxy --client @client ${user.name}@mygateway.device.np:22`;
    const words = ["-y", "-i", key, "-J", proxy, `${user.name}@mygateway.device.np`, "echo through; exit 6"];
    expect(await runProcess("dbclient", words, stack.client.options)).toMatchObject({ code: 6, stdout: "through\n" });
    await daemon.stop();
  });

  test("auto takes a server that begins to listen; one with other host keys than clients know only when it is told to", async () => {
    daemon = await startDaemon("user", "--ssh-port", closedPort);
    await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np");
    expect(await stack.ssh("true")).toMatchObject({ code: 0 });
    await daemon.stop();
    daemon = await startDaemon("user", "--ssh-port", String(stack.sshd.port));
    expect(await stack.ssh("true")).toMatchObject({ code: 0 });
    expect(stack.sshd.process.stderr).not.toContain("Accepted publickey");
    expect(daemon.stderr).toContain("another SSH server is there now, with other host keys");
    await daemon.stop();

    daemon = await startDaemon("user", "--ssh-port", String(stack.sshd.port), "--ssh-mode", "tcp");
    const changed = await stack.ssh("true");
    expect([changed.code, changed.stderr]).toEqual([255, expect.stringContaining("HOST KEY CHANGED")]);
    await daemon.stop();
  });

  test("with --ssh-mode off there is no ssh, and what there is instead is told", async () => {
    daemon = await startDaemon("root", "--ssh-mode", "off", "--permit-open", "127.0.0.1:8080");
    const exit = await stack.ssh("true");
    expect(exit.code).toBe(255);
    expect(exit.stderr).toContain("it runs with --ssh-mode off, so there is no ssh; it grants tcp:127.0.0.1:8080");
    await daemon.stop();
  });

  test("check looks at all that, as the daemon would, and leaves one that runs alone", async () => {
    daemon = await startDaemon("user", "--ssh-port", String(stack.sshd.port), "--ssh-mode", "tcp");
    const check = (...words: string[]): Promise<Exit> =>
      runCommand("sshnpd", ["check", "-a", "@device", "-d", "mygateway", "--keys", join(user.home, "keys"), ...words], {
        ...{ env: { HOME: user.home }, user },
      });
    const ready = await check("-m", "@client", "--ssh-port", String(stack.sshd.port), "--ssh-mode", "tcp");
    expect(ready).toMatchObject({ code: 0, stderr: "" });
    for (const line of [
      /^ok {2}keys: mygateway of @device in /m,
      new RegExp(`^ok  daemon: process ${daemon.pid} runs`, "m"),
      /^ok {2}directory: 127\.0\.0\.1:\d+ answers, and has the key SHA256:/m,
      /^ok {2}clock: as the directory's$/m,
      /^ok {2}clients: @client /m,
      new RegExp(`^ok  ssh: the server that answers on 127.0.0.1:${stack.sshd.port} `, "m"),
      /^ok {2}host key: ssh-ed25519 SHA256:/m,
      /^ok {2}authorized_keys: /m,
    ]) {
      expect(ready.stdout).toMatch(line);
    }
    expect(daemon.stderr).not.toContain("E_RUNNING");
    const unknown = await check("-m", "@client,@nobody", "--ssh-port", String(stack.sshd.port), "--ssh-mode", "tcp");
    expect(unknown).toMatchObject({ code: 78, stderr: "" });
    expect(unknown.stdout.match(/^fix .*\n +\S.*$/gm)).toEqual([
      expect.stringMatching(
        /^fix clients: @nobody is not pinned, although a daemon runs: .*\n +Is it spelt as its owner says/,
      ),
    ]);

    const missing = await check("--ssh-port", closedPort, "--ssh-mode", "tcp", "--json");
    expect(missing).toMatchObject({ code: 78, stderr: "" });
    const { v, ok, checks } = JSON.parse(missing.stdout) as {
      v: number;
      ok: boolean;
      checks: { about: string; ok: boolean; next?: string }[];
    };
    expect([v, ok]).toEqual([1, false]);
    expect(checks.filter((one) => !one.ok)).toMatchObject([
      { about: "clients", next: expect.stringContaining("-m @client") },
      { about: "ssh", next: expect.stringContaining("--ssh-port PORT") },
    ]);
    const elsewhere = await check("-m", "@client", "--ssh-port", closedPort, "--session-keys", "root");
    expect(elsewhere.code).toBe(78);
    expect(elsewhere.stdout).toContain(`fix ssh port: nothing listens on 127.0.0.1:${closedPort}`);
    expect(elsewhere.stdout).toContain(
      `fix session keys: those of root are never certified, for this runs as ${user.name}`,
    );
    expect(await check("--keys", join(user.home, "nowhere"))).toMatchObject({
      code: 78,
      stdout: expect.stringMatching(/^fix keys: No keys of mygateway/),
    });
    await daemon.stop();
  });

  async function startDaemon(runner: "root" | "user", ...words: string[]): Promise<RunningProcess> {
    const own = ["-a", "@device", "-m", "@client", "-d", "mygateway", ...words];
    const process =
      runner === "root"
        ? stack.device.start("sshnpd", ...own)
        : startCommand("sshnpd", [...own, "--keys", join(user.home, "keys")], {
            ...{ env: { HOME: user.home }, user, namespace: terminals },
          });
    await process.line(/^online: /);
    return process;
  }

  interface Line {
    readonly msg: string;
    readonly pid: number;
    readonly client: string;
    readonly member: string;
    readonly sid: string;
    readonly line?: string;
  }

  function lines(): Line[] {
    return daemon.stderr
      .split("\n")
      .flatMap((line) => (line.startsWith("{") && line.endsWith("}") ? [JSON.parse(line) as Line] : []));
  }

  async function logged(matches: (line: Line) => boolean): Promise<Line> {
    await expect.poll(() => lines().some(matches), { timeout: 10_000 }).toBe(true);
    const found = lines().findLast(matches);
    if (found === undefined) throw new Error("not logged");
    return found;
  }

  function lastChild(): Promise<Line> {
    return logged(({ msg }) => msg === "stream at an SSH server process");
  }
});

/** Sockets of these processes that listen. */
async function listening(pids: readonly number[]): Promise<string[]> {
  const { stdout } = await runProcess("ss", ["-Hltnp"], { env: { HOME: "/nonexistent" }, cwd: "/" });
  return stdout.split("\n").filter((line) => pids.some((pid) => line.includes(`pid=${pid},`)));
}

async function membersOf(group: number): Promise<number[]> {
  const { stdout } = await runProcess("ps", ["-eo", "pid=,pgid="], { env: { HOME: "/nonexistent" }, cwd: "/" });
  return stdout.split("\n").flatMap((line) => {
    const [pid, pgid] = line.trim().split(/ +/).map(Number);
    return pid !== undefined && pgid === group ? [pid] : [];
  });
}

async function groupOf(pid: number): Promise<number> {
  return (await membersOf(pid)).includes(pid) ? pid : 0;
}

async function giveTo(user: OrdinaryUser, folder: string): Promise<void> {
  await chown(folder, user.uid, user.gid);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await giveTo(user, path);
    else await chown(path, user.uid, user.gid);
  }
}
