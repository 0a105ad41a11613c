import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import { commandFile, isRunning, runCommand, startCommand } from "../../support/processes.ts";
import type { Stack } from "../../support/stack.ts";
import { Terminals } from "../../support/terminals.ts";
import { HOST, Person, startDevice } from "./person.ts";

/*
 * With ControlMaster the first ssh leaves a master behind that has our proxy, without a standard error and without the
 * person who started it.
 */
let stack: Stack;
let person: Person;
beforeAll(async () => {
  stack = await startDevice("tcp");
  person = CAN_MAKE_USERS ? await Person.ordinary(stack) : await Person.withFile(stack);
});
afterAll(async () => {
  await person[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
});

test("all sessions share one connection, by a socket that is theirs alone, and its end is the proxy's", async () => {
  await person.must("ssh", HOST, "true");
  const proxy = proxyOf(person);
  for (let i = 0; i < 3; i++) await person.must("ssh", HOST, "true");
  expect(proxyOf(person)).toBe(proxy);
  expect(granted()).toBe(1);
  const [socket = ""] = sockets();
  expect(statSync(join(folder(), socket)).mode & 0o777).toBe(0o600);

  await person.must("ssh", "-O", "exit", HOST);
  await expect.poll(() => isRunning(proxy)).toBe(false);
  expect(sockets()).toEqual([]);
});

test.each(["SIGTERM", "SIGKILL"] as const)("a master that %s ends takes its proxy with it", async (signal) => {
  const before = granted();
  await person.must("ssh", HOST, "true");
  const proxy = proxyOf(person);
  process.kill(await master(), signal);
  await expect.poll(() => isRunning(proxy)).toBe(false);
  expect(await person.must("ssh", HOST, "echo again")).toBe("again\n");
  expect(granted()).toBe(before + 2);
  await person.must("ssh", "-O", "exit", HOST);
});

test.each(["SIGINT", "SIGHUP"] as const)("%s for whoever came first ends nobody else's session", async (signal) => {
  const first = person.start("ssh", HOST, "echo here; exec sleep 600");
  await first.line(/^here$/);
  const proxy = proxyOf(person);
  const second = person.start("ssh", HOST, "echo here; exec cat");
  await second.line(/^here$/);
  process.kill(-first.pid, signal); // as a terminal does: to all that were started in it
  await expect.poll(() => isRunning(first.pid)).toBe(false);
  second.stdin.end("still\n");
  expect(await second.exit()).toMatchObject({ code: 0, stdout: "here\nstill\n" });
  expect(proxyOf(person)).toBe(proxy);
  await person.must("ssh", "-O", "exit", HOST);
  await expect.poll(() => isRunning(proxy)).toBe(false);
});

test.each([
  ["ssh's configuration", () => person.words("sftp", HOST)],
  ["sshnp sftp", () => sshnpSftp()],
])("Ctrl-C in an sftp by %s ends the line that was typed, and no more", async (by, words) => {
  await using terminals = await Terminals.start();
  const { user, options } = person;
  const window = await terminals.open("here", { env: options.env, ...(user && { user }) });
  await window.type(words().join(" "));
  await window.shows(/^sftp> $/m);
  await window.write("nonsense");
  await window.shows(/^sftp> nonsense$/m);
  // OpenSSH's sftp does not hear a signal that comes in the instant before it reads on.
  const pressed = async (): Promise<unknown> => {
    await window.press("C-c");
    return await window.shows(/\nsftp> \s*$/, { timeoutMs: 5_000 });
  };
  await pressed().catch(pressed);
  await window.type("!echo between");
  await window.shows(/^between$/m);
  await window.type("pwd");
  await window.shows(/^Remote working directory: \//m);
  await window.type("bye");
  // Where a connection is shared, the ssh between sftp and the master ends, sftp says so and goes on: OpenSSH's own way.
  if (by === "sshnp sftp") expect(await window.prompt()).not.toContain("Connection closed");
  else await window.prompt();
  await person.run("ssh", "-O", "exit", HOST);
  await expect.poll(proxies).toEqual([]);
});

test("a proxy that ends takes the master with it, and the next ssh makes a new one", async () => {
  await person.must("ssh", HOST, "true");
  const proxy = proxyOf(person);
  const pid = await master();
  process.kill(proxy, "SIGKILL");
  await expect.poll(() => isRunning(pid)).toBe(false);
  expect(await person.must("ssh", HOST, "echo again")).toBe("again\n");
  await person.must("ssh", "-O", "exit", HOST);
});

test("sshnp itself never goes by a connection that is there, for it may be that of another client", async () => {
  await person.must("ssh", HOST, "true");
  const before = granted();
  const words = ["@client", "@device", "mygateway", ...fileOption("-F")];
  expect(await runCommand("sshnp", [...words, "echo", "own"], person.options)).toMatchObject({
    code: 0,
    stdout: "own\n",
  });
  expect(granted()).toBe(before + 1);
  const check = await runCommand("sshnp", [...words, "-O", "check"], person.options);
  expect(check).toMatchObject({ code: 0, stderr: expect.stringMatching(/^Master running/) });
  await person.must("ssh", "-O", "exit", HOST);
});

test("--uninstall leaves no connection behind, and ends nobody's session", async () => {
  const sshConfig = (action: string) =>
    runCommand("sshnp", ["ssh-config", action, ...fileOption("--file")], person.options);
  const first = person.start("ssh", HOST, "echo here; exec cat");
  await first.line(/^here$/);
  const pids = [proxyOf(person), await master()];
  const [socket = ""] = sockets();
  writeFileSync(join(folder(), socket.replace(/.{4}$/, "0000")), ""); // no socket: somebody's
  const told = { code: 0, stderr: expect.stringContaining("take no more sessions") };
  expect(await sshConfig("--uninstall")).toMatchObject(told);
  expect(sockets()).toEqual([socket.replace(/.{4}$/, "0000")]);
  rmSync(join(folder(), sockets()[0] ?? ""));
  expect(pids.map(isRunning)).toEqual([true, true]);
  first.stdin.end("still\n");
  expect(await first.exit()).toMatchObject({ code: 0, stdout: "here\nstill\n" });
  await expect.poll(() => pids.map(isRunning)).toEqual([false, false]);

  expect(await sshConfig("--install")).toMatchObject({ code: 0 });
  await person.must("ssh", HOST, "true");
  const idle = [proxyOf(person), await master()];
  expect(await sshConfig("--uninstall")).toMatchObject(told);
  await expect.poll(() => idle.map(isRunning)).toEqual([false, false]);

  expect(await sshConfig("--install")).toMatchObject({ code: 0 });
  await person.must("ssh", HOST, "true");
  process.kill(await master(), "SIGKILL");
  expect(sockets()).toHaveLength(1);
  const silent = { code: 0, stderr: expect.not.stringContaining("sessions") };
  expect(await sshConfig("--uninstall")).toMatchObject(silent);
  expect(sockets()).toEqual([]);
  expect(await sshConfig("--install")).toMatchObject({ code: 0 });
});

test("why there is no session is told by ssh, when the proxy has no standard error", async () => {
  const exit = await person.run("ssh", "nothere.device.np", "true");
  expect(exit).toMatchObject({ code: 255, stdout: "" });
  expect(exit.stderr).toMatch(
    /^Received disconnect from UNKNOWN port 65535:7: There is no device nothere of @device .*\[E_UNKNOWN_NAME\]\r?\n/m,
  );
});

test("what a plain ssh is told of a device that is offline waits for it", { timeout: 90_000 }, async () => {
  await stack.daemon.kill("SIGTERM");
  const { code, stderr } = await person.run("ssh", HOST, "true");
  expect(code).toBe(255);
  const [, words = ""] = /Wait for it: sshnp (ping .*?) {3}Then the same again\. .*\[E_OFFLINE\]/.exec(stderr) ?? [];
  expect(words).toBe(`ping --wait @client ${HOST}`);
  const ping = startCommand("sshnp", words.split(" "), person.options);
  await ping.errorLine(/^sshnp: waiting for mygateway of @device: /);
  await stack.startDaemon();
  expect(await ping.exit()).toMatchObject({ code: 0 });
  expect(await person.must("ssh", HOST, "echo again")).toBe("again\n");
  await person.must("ssh", "-O", "exit", HOST);
});

test("what a person must know while they wait comes to the terminal then", { timeout: 90_000 }, async () => {
  await stack.daemon.kill("SIGTERM");
  await using terminals = await Terminals.start();
  const { user, options } = person;
  const window = await terminals.open("here", { env: options.env, ...(user && { user }) });
  const [node = "", main = "", verb = "", ...rest] = sshnpSftp();
  await window.type([node, main, verb, "--wait", ...rest].join(" "));
  await window.shows(/^sshnp: waiting for mygateway of @device: last seen /m);
  await window.press("C-c");
  await window.prompt();
  expect(await window.run("echo $?")).toMatch(/^130$/m);
  await expect.poll(proxies).toEqual([]);
  const install = ["ssh-config", "--install", "--wait=10m", ...fileOption("--file")];
  expect(await runCommand("sshnp", install, options)).toMatchObject({ code: 0 });
  await window.type(`${person.words("ssh", HOST).join(" ")} echo through 2>/dev/null`);
  await window.shows(
    /^sshnp: waiting for mygateway of @device: last seen [^]*^sshnp: waiting for mygateway of @device/m,
  );
  await stack.startDaemon();
  await window.shows(/^through$/m);
  await window.prompt();
});

/** How many sessions the device has let in. */
function granted(): number {
  return stack.daemon.stderr.match(/"msg":"request granted"/g)?.length ?? 0;
}

/** Where the configuration is, and the control sockets. */
function folder(): string {
  return join(person.home, CAN_MAKE_USERS ? ".ssh" : "ssh");
}

function sockets(): string[] {
  return readdirSync(folder()).filter((name) => name.startsWith("sshnp-"));
}

function fileOption(option: string): string[] {
  return CAN_MAKE_USERS ? [] : [option, join(folder(), "config")];
}

/** As this person would start it: by the built files that they can read. */
function sshnpSftp(): string[] {
  const main = commandFile("sshnp", person.user?.installation);
  const login = person.user?.name ?? stack.login;
  const file = CAN_MAKE_USERS ? [] : ["-F", join(folder(), "config")];
  return [process.execPath, main, "sftp", "@client", "@device", ...file, `${login}@mygateway`];
}

/** The `sshnp proxy` processes that have keys of this person. */
function proxies(): number[] {
  const keys = `\0--keys\0${person.home}`;
  const pids = readdirSync("/proc").map(Number);
  return pids.filter((pid) => /\0proxy\0/.test(commandLine(pid)) && commandLine(pid).includes(keys));
}

/** The one `sshnp proxy` that has keys of this person. */
function proxyOf({ home }: Person): number {
  const pids = readdirSync("/proc").map(Number);
  const found = pids.filter((pid) => pid > 0 && commandLine(pid).includes(`proxy\0--keys\0${home}`));
  expect(found).toHaveLength(1);
  return found[0] ?? 0;
}

/** The process that has the connection; it went into the background, so that it is nobody's child. */
async function master(): Promise<number> {
  const { stderr } = await person.run("ssh", "-O", "check", HOST);
  const pid = Number(/^Master running \(pid=(\d+)\)/.exec(stderr)?.[1]);
  expect(commandLine(pid)).toMatch(/^ssh/);
  return pid;
}

function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return ""; // it has ended meanwhile
  }
}
