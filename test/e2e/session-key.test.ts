/** A key for one session, which the device certifies, against an OpenSSH server that admits no other. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_MAKE_USERS, type OrdinaryUser, ordinaryUser } from "../support/ordinary-user.ts";
import { lookAtTrustedKey } from "../../sshnpd/look-at-trusted-key.ts";
import { runCommand, runProcess } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { Stack } from "../support/stack.ts";

const MAIN = join(import.meta.dirname, "../../dist/sshnp/main.js");
const NO_OTHER_KEYS = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"];

let stack: Stack;
let sshd: SshServer;
let strange: SshServer;
beforeAll(async () => {
  stack = await Stack.start({ withoutDaemon: true });
  const dropIn = await stack.device.must("sshnpd", "ssh-ca", "--for", stack.login);
  expect(dropIn).toMatch(/^Match User \S+\n {2}TrustedUserCAKeys ".*\/keys\/state\/ssh_ca\.pub"$/);
  // The lines go to the end, as those of a Match do in sshd_config.d.
  sshd = await startSshServer({ authorizedKeysFile: "none", last: dropIn.split("\n") });
  strange = await startSshServer({ authorizedKeysFile: "none" });
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  for (const server of [sshd, strange]) await server.stop();
});

test("opens a shell with no key of the user's, and sshd's log says whose it was", async () => {
  await stack.startDaemon("--ssh-port", String(sshd.port), "--session-keys", stack.login);
  const runtime = join(stack.client.home, "run");
  await mkdir(runtime);
  const env = { HOME: stack.client.home, XDG_RUNTIME_DIR: runtime };
  const first = await runCommand("sshnp", sessionKeyWords("echo here; exit 3"), { env });
  expect(first).toMatchObject({ code: 3, stdout: "here\n" });
  const accepted = /Accepted publickey for (\S+) .* ID sshnp @client\/(\S+) [0-9a-f]{32} \(serial \d+\) CA ED25519 /;
  expect(accepted.exec(sshd.process.stderr)?.[1]).toBe(stack.login);
  expect(await readdir(runtime)).toEqual([]);
  const set = { ...env, SSHNP_SESSION_KEY: "yes" };
  const [, ...words] = sessionKeyWords("echo set");
  expect(await runCommand("sshnp", words, { env: set })).toMatchObject({ code: 0, stdout: "set\n" });
  // Without it there is nothing to log in with.
  const without = await stack.client.run("sshnp", "@client", "@device", `${stack.login}@mygateway`, ...NO_KEYS, "true");
  expect(without).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_SSH_AUTH]") });
  await stack.daemon.stop();
});

test("any ssh uses one whose configuration names the proxy and its agent, several at once, and nothing is left", async () => {
  await stack.startDaemon("--ssh-port", String(sshd.port), "--session-keys", stack.login);
  const state = join(stack.client.keys, "state");
  const options = [
    `ProxyCommand=node ${MAIN} proxy --session-key --keys ${stack.client.keys} %r@%h:%p`,
    `UserKnownHostsFile=${state}/known_hosts.%h`,
    `IdentityAgent=${state}/agent.%r@%h`,
    "IdentityFile=none",
  ];
  const words = [...NO_OTHER_KEYS, ...options.flatMap((option) => ["-o", option])];
  const ssh = (command: string) =>
    runProcess("ssh", [...words, `${stack.login}@mygateway.device.np`, command], stack.client.options);
  const all = await Promise.all([1, 2, 3, 4].map((number) => ssh(`echo ${number}`)));
  expect(all.map(({ code, stdout }) => ({ code, stdout }))).toEqual(
    [1, 2, 3, 4].map((number) => ({ code: 0, stdout: `${number}\n` })),
  );
  expect((await readdir(state)).filter((name) => name.startsWith("agent."))).toEqual([]);
  await stack.daemon.stop();
});

test("cp, rsync and sftp go with a session key alone, for the account of the settings too", async () => {
  await stack.startDaemon("--ssh-port", String(sshd.port), "--session-keys", stack.login);
  const { home } = stack.client;
  const file = join(home, "to copy");
  await writeFile(file, "copied");
  const there = (name: string): string => `mygateway:${join(home, name)}`;
  const env = { ...stack.client.options.env, SSHNP_USER: stack.login };
  const run = (...words: string[]) => runCommand("sshnp", words, { env });
  const key = ["--session-key", "@client", "@device"];
  const set = { ...env, SSHNP_SESSION_KEY: "yes" };
  const good = { code: 0, stderr: expect.not.stringContaining("[E_") };
  expect(await run("cp", ...key, ...NO_OTHER_KEYS, file, there("by-cp"))).toMatchObject(good);
  const shell = `ssh ${NO_OTHER_KEYS.join(" ")}`;
  expect(await run("rsync", ...key, "-e", shell, file, there("by-rsync"))).toMatchObject(good);
  const batch = join(home, "batch");
  await writeFile(batch, `put "${file}" ${join(home, "by-sftp")}\n`);
  expect(await run("sftp", ...key, ...NO_OTHER_KEYS, "-b", batch, "mygateway")).toMatchObject(good);
  for (const name of ["by-cp", "by-rsync", "by-sftp"]) expect(await readFile(join(home, name), "utf8")).toBe("copied");
  const bySetting = ["cp", "@device", ...NO_OTHER_KEYS, file, there("by-setting")];
  expect(await runCommand("sshnp", bySetting, { env: set })).toMatchObject(good);
  const without = await run("cp", "@device", ...NO_KEYS, file, there("never"));
  expect(without.stderr).toMatch(/with --session-keys: sshnp cp --session-key @device .*\[E_SSH_AUTH\]\n$/s);
  await stack.daemon.stop();
});

test("a login that is not listed is not certified, and the client is told what to do", async () => {
  await stack.startDaemon("--ssh-port", String(sshd.port), "--session-keys", "pi,admin");
  const { code, stderr } = await withSessionKey("true");
  expect({ code, stderr }).toEqual({
    code: 255,
    stderr: expect.stringMatching(
      /^sshnp: mygateway of @device certifies no session key of @client for user \S+\.\n +On the device: sshnpd --session-keys \S+ \.\.\.\n +If @device has a policy, .*\n +\[E_SSH_AUTH\]\n$/m,
    ),
  });
  await stack.daemon.stop();
  await stack.startDaemon("--ssh-port", String(sshd.port));
  expect((await withSessionKey("true")).stderr).toContain("certifies no session key");
  await stack.daemon.stop();
});

test("with neither logins nor a policy it says at the start that it certifies nobody", async () => {
  await stack.startDaemon("--ssh-port", String(sshd.port), "--session-keys");
  await stack.daemon.errorLine(
    /^sshnpd: --session-keys: none is certified: there is no policy .* Name them: sshnpd --session-keys LOGIN$/,
  );
  await stack.daemon.stop();
  await stack.startDaemon("--ssh-port", String(sshd.port), "--session-keys", stack.login);
  expect(stack.daemon.stderr).not.toContain("--session-keys:");
  await stack.daemon.stop();
});

test("an SSH server that does not trust the device's certificates refuses them, and the client is told so", async () => {
  await stack.startDaemon("--ssh-port", String(strange.port), "--session-keys", stack.login);
  await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np");
  const { code, stderr } = await withSessionKey("true");
  expect(code).toBe(255);
  expect(stderr).toMatch(/Permission denied[\s\S]*On the device: sshnpd ssh-ca {3}tells how\n +\[E_SSH_AUTH\]\n$/);
  await stack.daemon.stop();
});

test.each([["-x"], ["-f"]])("does not go with %s", async (option) => {
  const exit = await stack.client.run("sshnp", "--session-key", option, "@client", "@device", "pi@mygateway", "true");
  expect(exit).toMatchObject({
    code: 2,
    stdout: "",
    stderr: expect.stringContaining("--session-key does not go with"),
  });
});

describe.runIf(CAN_MAKE_USERS)("as an ordinary user", () => {
  let user: OrdinaryUser;
  beforeAll(async () => {
    user = await ordinaryUser();
  });
  afterAll(() => user.remove());

  test.each(["inetd", "builtin"])("logs in by a server of mode %s, which needs to be told nothing", async (mode) => {
    await stack.startDaemon("--ssh-mode", mode, "--session-keys", user.name);
    await stack.client.run("sshnp", "trust", "forget", "mygateway.device.np");
    const words = ["@client", "@device", `${user.name}@mygateway`];
    const session = await stack.client.run("sshnp", "--session-key", ...words, ...NO_OTHER_KEYS, "id -un");
    expect(session).toMatchObject({ code: 0, stdout: `${user.name}\n` });
    const without = await stack.client.run("sshnp", ...words, ...NO_KEYS, "true");
    expect(without).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_SSH_AUTH]") });
    await stack.daemon.stop();
  });

  test("sshnpd ssh-ca trusts its key for that user alone, in words that sshd understands", async () => {
    const run = { env: { HOME: user.home }, user, cwd: "/" };
    const main = `${user.installation}/dist/sshnpd/main.js`;
    const dropIn = await runProcess("node", [main, "ssh-ca"], run);
    // Whoever runs it as another user than sshnpd makes a key that certifies nothing.
    expect(dropIn).toMatchObject({
      code: 0,
      stderr: expect.stringMatching(/keys has no keys of a device: .*user who runs sshnpd/),
    });
    expect(dropIn.stdout).toBe(
      `Match User ${user.name}\n  TrustedUserCAKeys "${user.home}/.local/share/sshnp/keys/state/ssh_ca.pub"\n`,
    );
    expect(await runProcess("node", [main, "ssh-ca"], run)).toMatchObject({ stdout: dropIn.stdout });
    await using server = await startSshServer({ last: dropIn.stdout.trim().split("\n") });
    const effective = async (login: string): Promise<string> => {
      const words = ["-T", "-f", server.configurationFile, "-C", `user=${login},host=localhost,addr=127.0.0.1`];
      return (await runProcess("/usr/sbin/sshd", words, { env: { HOME: "/nonexistent" }, cwd: "/" })).stdout;
    };
    expect(await effective(user.name)).toContain(`trustedusercakeys ${user.home}/`);
    expect(await effective("root")).toContain("trustedusercakeys none");
    const { signal } = new AbortController();
    const keys = `${user.home}/.local/share/sshnp/keys`;
    const look = (logins: string[], file: string, port: number) =>
      lookAtTrustedKey(new Set(logins), { keys, port, words: ["-f", file] }, signal);
    expect(await look([user.name], server.configurationFile, server.port)).toBe("told");
    expect(await look([user.name, "root"], server.configurationFile, server.port)).toBe("not told");
    expect(await look([user.name], strange.configurationFile, strange.port)).toBe("not told");
    expect(await look([user.name], server.configurationFile, strange.port)).toBe("not seen");
    const other = await runProcess("node", [main, "ssh-ca", "--for", "root"], run);
    expect(other).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("[E_USAGE]") });
  });
});

const NO_KEYS = [...NO_OTHER_KEYS, "-o", "IdentityFile=none", "-o", "IdentityAgent=none"];

function sessionKeyWords(command: string): string[] {
  return ["--session-key", "@client", "@device", `${stack.login}@mygateway`, ...NO_OTHER_KEYS, command];
}

function withSessionKey(command: string) {
  return stack.client.run("sshnp", ...sessionKeyWords(command));
}
