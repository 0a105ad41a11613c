/** What `sshnp ssh-config --session-key` makes of a plain ssh, with devices that admit no key of anybody's. */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CAN_MAKE_USERS } from "../../support/ordinary-user.ts";
import { runCommand } from "../../support/processes.ts";
import { type SshServer, startSshServer } from "../../support/sshd.ts";
import { Stack } from "../../support/stack.ts";
import { HOST, Person } from "./person.ts";

let stack: Stack;
let person: Person;
let sshd: SshServer;
let login: string;
beforeAll(async () => {
  stack = await Stack.start({ withoutTap: true, withoutDaemon: true });
  person = CAN_MAKE_USERS
    ? await Person.ordinary(stack, "--session-key")
    : await Person.withFile(stack, "--session-key");
  login = person.user?.name ?? stack.login;
  const trust = await stack.device.must("sshnpd", "ssh-ca", "--for", login);
  sshd = await startSshServer({ authorizedKeysFile: "none", last: trust.split("\n") });
});
afterAll(async () => {
  await person[Symbol.asyncDispose]();
  await stack[Symbol.asyncDispose]();
  await sshd.stop();
});

test("ssh and scp log in with certificates alone, several at once, and leave no key behind", async () => {
  await stack.startDaemon("--ssh-port", `${sshd.port}`, "--session-keys", login);
  expect(await person.must("ssh", HOST, "id -un")).toBe(`${login}\n`);
  const folder = person.folder("copy", (path) => writeFileSync(join(path, "sent"), "content\n"));
  await person.must("scp", join(folder, "sent"), `${HOST}:${folder}/there`); // by the connection that is there
  const own = ["-o", "ControlPath=none"];
  const all = ["1", "2", "3"].map((number) => person.must("ssh", ...own, HOST, `cat ${folder}/there; echo ${number}`));
  expect(await Promise.all(all)).toEqual(["content\n1\n", "content\n2\n", "content\n3\n"]);
  const accepted = /Accepted publickey for (\S+) from 127\.0\.0\.1 .* ID sshnp @client\/\S+ [0-9a-f]{32} /g;
  expect([...sshd.process.stderr.matchAll(accepted)].map(([, name]) => name)).toEqual([login, login, login, login]);
  expect(sshd.process.stderr).not.toMatch(/Failed publickey/); // nothing else was offered
  await person.must("ssh", "-O", "exit", HOST);
  await stack.daemon.stop(); // and with it the sessions
  await expect.poll(agents, { timeout: 20_000 }).toEqual([]);
});

test("a session that still waits for its login finds an agent when one that came later has ended", async () => {
  await stack.startDaemon("--ssh-port", `${sshd.port}`, "--session-keys", login);
  const held = person.folder("held", (path) => {
    execFileSync("mkfifo", [join(path, "gate")]);
    writeFileSync(join(path, "hold"), `test "$1" != ORDER || cat ${path}/gate`);
  });
  // ssh asks for known keys when its proxy has come, and ahead of the login.
  const waiting = ["-o", `KnownHostsCommand=/bin/sh ${held}/hold %I`];
  const own = ["-o", "ControlPath=none"];
  const first = person.start("ssh", ...own, ...waiting, HOST, "echo first");
  const gate = await open(join(held, "gate"), "w"); // returns when ssh reads
  expect(agents()).toHaveLength(2);
  expect(await person.must("ssh", ...own, HOST, "echo second")).toBe("second\n");
  await expect.poll(agents, { timeout: 20_000 }).toHaveLength(2);
  await gate.close();
  expect(await first.exit()).toMatchObject({ code: 0, stdout: "first\n" });
  await stack.daemon.stop();
  await expect.poll(agents, { timeout: 20_000 }).toEqual([]);
});

test("a login that the device does not certify is told so", async () => {
  await stack.startDaemon("--ssh-port", `${sshd.port}`, "--session-keys", "pi");
  expect(await person.run("ssh", HOST, "true")).toMatchObject({
    code: 255,
    stderr: expect.stringMatching(/certifies no session key of @client for user \S+\.\s[\s\S]*\[E_SSH_AUTH\]/),
  });
  await stack.daemon.stop();
});

test.runIf(CAN_MAKE_USERS)(
  "what sshnp starts itself logs in with keys of the user's all the same, also with one that -s has brought",
  async () => {
    await stack.startDaemon("--ssh-mode", "builtin", "--session-keys", login, "-s");
    await runCommand("sshnp", ["trust", "forget", HOST], person.options);
    const config = person.path(".ssh/config");
    const before = readFileSync(config, "utf8");
    writeFileSync(config, before.replace(/^Host \*\n(?: {2}.*\n)*/m, "Host *\n  BatchMode yes\n")); // so the key is one of the default files
    writeFileSync(person.path(".ssh/id_ed25519.pub"), `${stack.sshd.identity}\n`);
    const folder = person.folder("own", (path) => writeFileSync(join(path, "sent"), "content\n"));
    const sshnp = (...words: string[]) => runCommand("sshnp", words, { ...person.options, timeoutMs: 60_000 });
    const good = { code: 0, stderr: expect.not.stringContaining("[E_") };
    rmSync(person.path(".ssh/authorized_keys"));
    const without = await sshnp("@device", "mygateway", "true");
    expect(without).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_SSH_AUTH]") });
    expect(await sshnp("-s", "@device", "mygateway", "echo $SSH_CONNECTION")).toMatchObject(good);
    expect(await sshnp("@device", "mygateway", "id -un")).toMatchObject({ ...good, stdout: `${login}\n` });
    for (const program of ["cp", "rsync"])
      expect(await sshnp(program, "@device", join(folder, "sent"), `mygateway:${folder}/${program}`)).toMatchObject(
        good,
      );
    writeFileSync(join(folder, "batch"), `put ${folder}/sent ${folder}/sftp\n`);
    expect(await sshnp("sftp", "@device", "-b", join(folder, "batch"), "mygateway")).toMatchObject(good);
    for (const program of ["cp", "rsync", "sftp"])
      expect(readFileSync(join(folder, program), "utf8"), program).toBe("content\n");
    // And plain ssh goes on without any.
    const debug = await person.run("ssh", "-v", "-o", "ControlPath=none", HOST, "true");
    expect(debug).toMatchObject({ code: 0, stderr: expect.not.stringContaining(".ssh/id_ed25519") });
    writeFileSync(config, before);
    await stack.daemon.stop();
  },
);

test.runIf(CAN_MAKE_USERS)("a device without an SSH server takes them as well", async () => {
  rmSync(person.path(".ssh/authorized_keys"), { force: true });
  await stack.startDaemon("--ssh-mode", "builtin", "--session-keys", login);
  await runCommand("sshnp", ["trust", "forget", HOST], person.options); // this server has a host key of its own
  expect(await person.must("ssh", HOST, "id -un")).toBe(`${login}\n`);
});

/** What is there of agents. */
function agents(): string[] {
  return readdirSync(join(person.home, ".local/share/sshnp/keys/state")).filter((name) => name.startsWith("agent."));
}
