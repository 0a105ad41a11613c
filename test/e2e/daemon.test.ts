import { once } from "node:events";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { copyFolder } from "../support/copy-folder.ts";
import { CAN_MAKE_USERS, ordinaryUser } from "../support/ordinary-user.ts";
import { type RunningProcess, runProcess, runCommand, startCommand } from "../support/processes.ts";
import { startSshServer } from "../support/sshd.ts";
import { Machine, Stack } from "../support/stack.ts";

const ONLINE = /^online: mygateway\.device\.np$/;

describe("the daemon and its directory", () => {
  test("kill -9 of the directory leaves a session as it is, and the device comes back", async () => {
    await using stack = await Stack.start();
    await using session = stack.startSsh("cat");
    session.stdin.write("before\n");
    await session.line(/^before$/);
    await stack.directory.kill("SIGKILL");
    await stack.daemon.line(/^offline: mygateway\.device\.np$/);
    session.stdin.write("meanwhile\n");
    await session.line(/^meanwhile$/);
    await stack.startDirectory();
    await onlineAgain(stack.daemon);
    session.stdin.end("after\n");
    expect(await session.exit()).toMatchObject({ code: 0, stdout: "before\nmeanwhile\nafter\n" });
    expect(await stack.ssh("echo", "again")).toMatchObject({ code: 0, stdout: "again\n" });
  });
});

describe("one daemon for one key", () => {
  test("a second one on this machine is refused and the first goes on; kill -9 leaves nothing in the way", async () => {
    await using stack = await Stack.start();
    await using second = startDaemon(stack, stack.device);
    const refused = await second.exit();
    expect(refused).toMatchObject({ code: 75, stdout: "" });
    expect(refused.stderr).toContain(`(process ${stack.daemon.pid})`);
    expect(refused.stderr).toContain("[E_RUNNING]");
    expect(await stack.ssh("echo", "the first one")).toMatchObject({ code: 0 });
    await stack.daemon.kill("SIGKILL");
    await stack.startDaemon();
    expect(await stack.ssh("echo", "a new one")).toMatchObject({ code: 0 });
  });

  test("a second one on another machine takes over; the first says so and ends", async () => {
    await using stack = await Stack.start();
    const other = new Machine(join(stack.device.home, "other-machine"));
    mkdirSync(other.home, { mode: 0o700 });
    copyFolder(join(stack.device.home, ".local"), join(other.home, ".local"));
    await using session = stack.startSsh("cat");
    session.stdin.write("before\n");
    await session.line(/^before$/);
    await using second = startDaemon(stack, other);
    await second.line(ONLINE);
    const replaced = await stack.daemon.exit();
    expect(replaced.code).toBe(75);
    expect(replaced.stderr).toMatch(/Another sshnpd with the same key has taken over\.[\s\S]*\[E_REPLACED\]$/m);
    expect((await session.exit()).code).toBe(255);
    expect(session.stderr).toContain("is stopping");
    expect(await stack.ssh("echo", "the second one")).toMatchObject({ code: 0, stdout: "the second one\n" });
  });
});

describe("the device's SSH server", () => {
  test("new host keys are presented after its restart, and a client that has pinned others refuses them", async () => {
    await using stack = await Stack.start();
    expect(await stack.ssh("true")).toMatchObject({ code: 0 });
    await stack.sshd.stop();
    await using other = await startSshServer({ port: stack.sshd.port });
    const refused = await stack.ssh("true");
    expect(refused.code).toBe(255);
    expect(refused.stderr).toContain("HOST KEY CHANGED");
    const state = join(stack.client.keys, "state");
    for (const file of readdirSync(state)) if (file.startsWith("peer.@device")) rmSync(join(state, file));
    const words = stack
      .words("echo", "new keys")
      .map((word) => word.replace(stack.sshd.identityFile, other.identityFile));
    expect(await stack.client.run("sshnp", ...words)).toMatchObject({ code: 0, stdout: "new keys\n" });
    const known = readdirSync(state, { recursive: true, encoding: "utf8" })
      .filter((file) => file.startsWith("peer.@device"))
      .map((file) => readFileSync(join(state, file), "utf8"));
    for (const key of other.hostKeys) expect(known.join()).toContain(key);
  });

  test("that does not answer is told by its port", async () => {
    const closed = createServer().listen(0, "127.0.0.1");
    await once(closed, "listening");
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, "close");
    await using stack = await Stack.start({ daemon: ["--ssh-mode", "tcp", "--ssh-port", String(port)] });
    const refused = await stack.ssh("true");
    expect(refused.code).toBe(255);
    expect(refused.stderr).toContain("E_NO_SSHD");
    expect(refused.stderr).toContain(`nothing answers on its 127.0.0.1:${port}`);
  });
});

describe("one system for several looks", () => {
  let stack: Stack;
  beforeAll(async () => {
    stack = await Stack.start({ withoutDaemon: true });
  });
  afterAll(async () => {
    await stack[Symbol.asyncDispose]();
  });

  test("a client that is not listed is refused by the device itself, and told what to do there", async () => {
    await using daemon = startCommand("sshnpd", daemonWords(stack, "@bob"), stack.device.options);
    await daemon.line(ONLINE);
    const refused = await stack.ssh("true");
    expect(refused.code).toBe(255);
    expect(refused.stderr).toContain("it does not list @client");
    expect(refused.stderr).toContain("[E_DEVICE_REFUSED]");
    expect(refused.stderr).not.toContain("@bob");
    await daemon.errorLine(/^sshnpd: The directory knows no @bob\. Is it spelt as its owner says\?/);
    expect(existsSync(join(stack.device.keys, "state/peer.@client.json"))).toBe(false);
  });

  test("it listens on nothing, and its log is JSON without secrets", async () => {
    await using daemon = startDaemon(stack, stack.device, "-v");
    await daemon.line(ONLINE);
    expect(await stack.ssh("true")).toMatchObject({ code: 0 });
    await daemon.errorLine(/"msg":"session ended"/);
    const sockets = await runProcess("ss", ["-Hltunp"], stack.device.options);
    expect(sockets.code).toBe(0);
    expect(sockets.stdout).not.toContain(`pid=${daemon.pid},`);
    expect(sockets.stdout).toContain(`pid=${stack.directory.pid},`);
    const lines = daemon.stderr.trim().split("\n");
    for (const line of lines) {
      if (line.startsWith("sshnpd: ")) continue;
      const entry: unknown = JSON.parse(line);
      expect(entry).toMatchObject({ level: expect.any(Number), time: expect.any(String), msg: expect.any(String) });
    }
    const { x25519, ed25519 } = JSON.parse(readFileSync(join(stack.device.keys, "@device.mygateway.npkeys"), "utf8"));
    for (const secret of [x25519, ed25519]) expect(daemon.stderr).not.toContain(secret);
    const stopped = await daemon.kill("SIGTERM");
    expect(stopped).toMatchObject({ code: 0, signal: null });
  });

  test("told to stop, it closes its sessions and ends with 0", async () => {
    await using daemon = startDaemon(stack, stack.device);
    await daemon.line(ONLINE);
    await using session = stack.startSsh("cat");
    session.stdin.write("here\n");
    await session.line(/^here$/);
    expect(await daemon.kill("SIGINT")).toMatchObject({ code: 0, signal: null });
    expect((await session.exit()).code).toBe(255);
    expect(session.stderr).toContain("is stopping");
  });

  test("with the owner key beside it makes another member of its own, if that is meant, and tells to move that key away", async () => {
    const mistyped = daemonWords(stack).map((word) => (word === "mygateway" ? "second" : word));
    const fact = "There are no keys of second of @device here, but those of mygateway.";
    const way = "sshnpd -a @device -d mygateway\n";
    for (const verb of [[], ["check"]]) {
      const refused = await runCommand("sshnpd", [...verb, ...mistyped], stack.device.options);
      expect(refused.code).toBe(78);
      expect(refused.stdout + refused.stderr).toContain(fact);
      expect(refused.stdout + refused.stderr).toContain(way);
    }
    const words = [...mistyped, "--new-device"];
    expect(await runCommand("sshnpd", ["check", ...words], stack.device.options)).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^ok {2}keys: none of second of @device yet; they are made, for good/),
    });
    await using daemon = startCommand("sshnpd", words, stack.device.options);
    await daemon.line(/^online: second\.device\.np$/);
    expect(daemon.stderr).toMatch(/^sshnpd: second of @device is made: .*@device\.second\.npkeys$/m);
    expect(daemon.stderr).toMatch(/^sshnpd: Now move the owner key off this machine.*@device\.owner\.npkeys$/m);
    const target = stack.words("echo", "second").map((word) => word.replace("mygateway", "second"));
    expect(await stack.client.run("sshnp", ...target)).toMatchObject({ code: 0, stdout: "second\n" });
    await daemon.stop();
    await using again = startCommand("sshnpd", mistyped, stack.device.options);
    await again.line(/^online: second\.device\.np$/);
    expect(again.stderr).not.toContain("move the owner key");
  });

  test("on another machine with the owner key alone it makes a device there", async () => {
    const other = new Machine(join(stack.device.home, "other-machine"));
    mkdirSync(other.keys, { recursive: true, mode: 0o700 });
    const owner = "@device.owner.npkeys";
    copyFileSync(join(stack.device.keys, owner), join(other.keys, owner));
    const words = daemonWords(stack).map((word) => (word === "mygateway" ? "othergateway" : word));
    await using daemon = startCommand("sshnpd", [...words, "--directory", stack.address], other.options);
    await daemon.line(/^online: othergateway\.device\.np$/);
  });

  test("a member that exists elsewhere is refused, and nothing is left", async () => {
    const other = new Machine(join(stack.device.home, "one-more-machine"));
    mkdirSync(other.keys, { recursive: true, mode: 0o700 });
    const owner = "@device.owner.npkeys";
    copyFileSync(join(stack.device.keys, owner), join(other.keys, owner));
    await using daemon = startDaemon(stack, other, "--directory", stack.address);
    const exit = await daemon.exit();
    expect(exit).toMatchObject({ code: 78, stdout: "" });
    expect(exit.stderr).toMatch(/@device has a mygateway already, with other keys\.[\s\S]*\[E_MEMBER_TAKEN\]$/m);
    expect(readdirSync(other.keys)).toEqual([owner, "state"]);
  });

  test("--status-file has the newest line of stdout, and is gone when the daemon is", async () => {
    const file = join(stack.device.home, "status");
    const refused = startDaemon(stack, stack.device, "--status-file", join(stack.device.home, "not-there", "status"));
    expect(await refused.exit()).toMatchObject({ code: 74, stdout: "" });
    await stack.directory.kill("SIGKILL");
    await using daemon = startDaemon(stack, stack.device, "--status-file", file);
    await daemon.errorLine(/Trying again\.$/);
    expect(readFileSync(file, "utf8")).toBe("offline: mygateway.device.np\n");
    await stack.startDirectory();
    await daemon.line(ONLINE, { timeoutMs: 40_000 });
    await expect.poll(() => readFileSync(file, "utf8")).toBe("online: mygateway.device.np\n");
    await stack.directory.kill("SIGKILL");
    await daemon.line(/^offline: mygateway\.device\.np$/);
    await expect.poll(() => readFileSync(file, "utf8")).toBe("offline: mygateway.device.np\n");
    expect((await daemon.kill("SIGTERM")).code).toBe(0);
    expect(readdirSync(stack.device.home).filter((name) => name.startsWith("status"))).toEqual([]);
  });

  test("a directory that is away at the start is waited for, and people are told", async () => {
    await stack.directory.kill("SIGKILL");
    await using daemon = startDaemon(stack, stack.device);
    await daemon.errorLine(/^sshnpd: Cannot reach the directory at http:\/\/127\.0\.0\.1:\d+ .* Trying again\.$/);
    expect(daemon.stdout).toBe("");
    await stack.startDirectory();
    await daemon.line(ONLINE, { timeoutMs: 40_000 });
    expect(daemon.stdout).toBe("online: mygateway.device.np\n");
  });

  test("a directory with another root key than the address says is not dealt with", async () => {
    const wrong = stack.address.replace(/#.*/, `#SHA256:${"A".repeat(43)}`);
    await using daemon = startDaemon(stack, stack.device, "--directory", wrong);
    const exit = await daemon.exit();
    expect(exit).toMatchObject({ code: 76, stdout: "" });
    expect(exit.stderr).toContain("[E_DIRECTORY_KEY]");
  });

  test.each([
    ["ahead of", 3_600_000],
    ["behind", -3_600_000],
  ])("a clock an hour %s the directory's still connects, and people are told", async (which, offset) => {
    const preload = join(stack.device.home, "clock.mjs");
    writeFileSync(preload, `const now = Date.now; Date.now = () => now() + ${offset};`);
    const env = { HOME: stack.device.home, NODE_OPTIONS: `--import ${preload}` };
    await using daemon = startCommand("sshnpd", daemonWords(stack), { env });
    await daemon.line(ONLINE);
    await daemon.errorLine(new RegExp(`^sshnpd: This machine's clock is 60 min ${which} the directory's`));
    expect(await stack.ssh("echo", "in time")).toMatchObject({ code: 0, stdout: "in time\n" });
  });
});

test.skipIf(!CAN_MAKE_USERS)("as root with -s a pushed key opens the account that the client named", async () => {
  await using user = await ordinaryUser();
  const sshd = { user, authorizedKeysFile: "%h/.ssh/authorized_keys" };
  await using stack = await Stack.start({ sshd, daemon: ["-s"] });
  expect(stack.daemon.stderr).toMatch(/^sshnpd: -s as root: .* any login of this machine, root included\.$/m);
  expect((await stack.ssh("true")).code).toBe(255);
  const [device, ...rest] = stack.words("id", "-un");
  const pushing = ["-s", device ?? "", ...rest];
  expect(await stack.client.run("sshnp", ...pushing)).toMatchObject({ code: 0, stdout: `${user.name}\n` });
  const file = join(user.home, ".ssh/authorized_keys");
  expect(readFileSync(file, "utf8")).toMatch(/^ssh-ed25519 [A-Za-z0-9+/]{68} sshnp:@client\/[a-z0-9-]+\n$/);
  expect(await stack.client.run("sshnp", ...pushing)).toMatchObject({ code: 0 });
  expect(readFileSync(file, "utf8").trim().split("\n")).toHaveLength(1);
  expect(await stack.ssh("id", "-un")).toMatchObject({ code: 0, stdout: `${user.name}\n` });
});

function daemonWords(stack: Stack, clients = "@client"): string[] {
  return ["-a", "@device", "-m", clients, "-d", "mygateway", "--ssh-port", String(stack.sshd.port)];
}

function startDaemon(stack: Stack, machine: Machine, ...words: string[]): RunningProcess {
  return startCommand("sshnpd", [...daemonWords(stack), ...words], machine.options);
}

/** It said online, then offline, and online once more. */
async function onlineAgain(daemon: RunningProcess): Promise<void> {
  await expect.poll(() => daemon.stdout, { timeout: 40_000 }).toMatch(/^online: .*\noffline: .*\nonline: .*\n$/);
}
