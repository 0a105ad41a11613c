import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Machine, Stack } from "../support/stack.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

let stack: Stack;
let folder: TemporaryFolder;
/** Where @other is activated. */
let other: Machine;
beforeAll(async () => {
  stack = await Stack.start({ withoutDaemon: true });
  folder = await temporaryFolder();
  mkdirSync(join(folder.path, "other"), { mode: 0o700 });
  other = new Machine(join(folder.path, "other"));
  const secret = await stack.addName("@other");
  await other.must("sshnp-keys", "activate", "-a", "@other", "-c", secret, "--directory", stack.address);
  await apply("grants: []");
  const own = ["-a", "@device", "-d", "mygateway", "--ssh-port", String(stack.sshd.port)];
  daemon = stack.device.start("sshnpd", ...own);
  await daemon.line(/^online: /);
});
afterAll(async () => {
  await daemon?.stop();
  await stack[Symbol.asyncDispose]();
  await folder.remove();
});

let daemon: ReturnType<Machine["start"]> | undefined;

test("with a policy and no -m: who is granted gets a real ssh session, to everybody else there is no such device", async () => {
  expect((await stack.ssh("true")).stderr).toContain("[E_UNKNOWN_NAME]");
  await apply(`grants: [{from: ["@client"], to: ["my*"], services: [ssh], logins: [${stack.login}]}]`);
  // Asked for at the directory by the daemon itself, on another link than the one that brought the policy.
  await daemon?.errorLine(/@client is pinned to SHA256:/);
  await expect
    .poll(() => stack.ssh("echo", "hello"), { timeout: 20_000 })
    .toMatchObject({ code: 0, stdout: "hello\n" });

  const asOther = stack.words("true").map((word) => (word === "@client" ? "@other" : word));
  const refused = await other.run("sshnp", ...asOther);
  expect(refused.code).toBe(255);
  expect(refused.stderr).toContain("There is no device mygateway of @device that @other may see.");
  const unknown = await other.run("sshnp", ...asOther.map((word) => word.replace("@mygateway", "@nothing-here")));
  expect(unknown.stderr).toContain("There is no device nothing-here of @device that @other may see.");

  const asRoot = stack.words("true").map((word) => word.replace(`${stack.login}@`, "somebody@"));
  const wrongLogin = await stack.client.run("sshnp", ...asRoot);
  expect(wrongLogin.code).toBe(255);
  expect(wrongLogin.stderr).toContain("[E_POLICY]");
});

test("a live session ends by the policy that takes its access away", async () => {
  await apply('grants: [{from: ["@client"], to: ["*"], services: [ssh]}]');
  const session = await liveSession();
  await apply("grants: []");
  expect((await session.exit()).code).not.toBe(0);
});

test("a live session ends when its grant expires", async () => {
  const expiry = new Date(Math.ceil(Date.now() / 1000) * 1000 + 10_000);
  const expires = `${expiry.toISOString().slice(0, 19)}Z`;
  await apply(`grants: [{from: ["@client"], to: ["*"], services: [ssh], expires: "${expires}"}]`);
  const session = await liveSession();
  expect(Date.now()).toBeLessThan(expiry.getTime());
  expect((await session.exit()).code).not.toBe(0);
  expect(Date.now()).toBeGreaterThanOrEqual(expiry.getTime() - 1000);
  expect((await stack.ssh("true")).stderr).toContain("[E_POLICY]");
});

/** A session in which a command runs that would run for long. */
async function liveSession(): Promise<ReturnType<Stack["startSsh"]>> {
  const session = stack.startSsh("echo up; exec sleep 600");
  await session.line(/^up$/);
  return session;
}

let count = 0;
async function apply(text: string): Promise<void> {
  const path = join(folder.path, `policy${(count += 1)}.yaml`);
  writeFileSync(path, `version: 1\n${text}\n`);
  await stack.device.must("sshnp-keys", "policy", "apply", "@device", path, "--yes");
}
