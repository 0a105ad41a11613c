import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Exit } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

let stack: Stack;
beforeAll(async () => {
  // As NoPorts' daemon is started.
  stack = await Stack.start({ daemon: ["-s", "-u", "-v", "--strict"] });
});
afterAll(() => stack[Symbol.asyncDispose]());

/** What is typed into a session, for a command line of NoPorts has no place for a remote command. */
const TYPED = 'echo "$SSH_ORIGINAL_COMMAND:$((6 * 7))"; exit 5\n';

test("a session that is opened as with NoPorts is the one that is opened as here", async () => {
  // ssh's words that keep the test to itself go where NoPorts has them.
  const options = stack.sshOptions.slice(2).flatMap((word, i, all) => (word === "-o" ? ["-o", all[i + 1] ?? ""] : []));
  const forms = [
    [
      "-f",
      "@client",
      "-t",
      "@device",
      "-d",
      "mygateway",
      "-r",
      "@rv_eu",
      "-u",
      stack.login,
      "-i",
      stack.sshd.identityFile,
    ],
    ["--from", "@client", "--to=@device", "-dmygateway", "--remote-user-name", stack.login, "--idle-timeout", "15"],
  ];
  for (const words of forms) {
    const exit = await typed(...words, "-o", "-F none -T", ...options);
    expect(exit).toMatchObject({ code: 5, stdout: ":42\n" });
    expect(exit.stderr).toMatch(/^sshnp: (?:-r|--idle-timeout) has no effect: /);
  }
  expect(await typed("@client", "@device", `${stack.login}@mygateway`, "-T", ...stack.sshOptions)).toMatchObject({
    ...{ code: 5, stdout: ":42\n" },
  });
});

test("the words of npt ask for a forward as they did there", async () => {
  const words = ["forward", "-f", "@client", "-t", "@device", "-d", "mygateway", "-r", "@rv_eu", "-p", "1", "-l", "0"];
  const exit = await stack.client.run("sshnp", ...words);
  expect(exit).toMatchObject({ code: 77, stdout: "" });
  expect(exit.stderr).toMatch(
    /^sshnp: -r has no effect: [^]*sshnpd --permit-open localhost:1 [^]*\[E_DEVICE_REFUSED\]\n$/,
  );
});

test("-x prints a line that a shell runs, and nothing but it", async () => {
  const words = ["-f", "@client", "-t", "@device", "-d", "mygateway", "-r", "@rv_eu", "-u", stack.login, "-x"];
  const printed = await stack.client.must("sshnp", ...words);
  expect(printed).toMatch(/^ssh [^\n]* \S+@mygateway\.device\.np$/);
  const own = await stack.client.must("sshnp", "-x", "@client", "@device", `${stack.login}@mygateway`);
  expect(printed).toBe(own);
});

test("a profile of NoPorts becomes one of ours, and then a device is reached by its name alone", async () => {
  const folder = join(stack.client.home, ".sshnp/config");
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "acme.env"), `FROM=@client\nTO=@device\nREMOTE_USER_NAME=${stack.login}\nSRVD=@rv_eu\n`);
  expect(await stack.client.run("sshnp", "profile", "import", join(folder, "acme.env"))).toMatchObject({ code: 0 });
  await stack.client.must("sshnp", "profile", "use", "acme");
  expect(await stack.client.run("sshnp", "mygateway", ...stack.sshOptions, "echo here")).toMatchObject({
    ...{ code: 0, stdout: "here\n", stderr: "" },
  });
  const other = await stack.client.run("sshnp", `nobody-there@mygateway`, ...stack.sshOptions, "true");
  expect(other).toMatchObject({ code: 255, stderr: expect.stringContaining("[E_SSH_AUTH]") });
  await stack.client.must("sshnp", "profile", "use", "--none");
});

test("a device is reached by the machine's settings through any ssh, and its proxy needs no option", async () => {
  const system = join(stack.client.home, "system.toml");
  await writeFile(system, `client = "@client"\ndirectory = "${stack.address}"\nwait = "1m"\n`);
  const known = join(stack.client.keys, "state/known_hosts.%h");
  const exit = await stack.client.run("sshnp", "-x", "@device", `${stack.login}@mygateway`);
  expect(exit.code).toBe(0);
  const { runProcess } = await import("../support/processes.ts");
  const main = join(import.meta.dirname, "../../dist/sshnp/main.js");
  const options = [`ProxyCommand=${process.execPath} ${main} proxy %r@%h:%p`, `UserKnownHostsFile=${known}`];
  const words = [...stack.sshOptions, ...[...options, "StrictHostKeyChecking=yes"].flatMap((option) => ["-o", option])];
  const through = await runProcess("ssh", [...words, `${stack.login}@mygateway.device.np`, "echo here"], {
    env: { HOME: stack.client.home, SSHNP_SYSTEM_CONFIG: system },
  });
  expect(through).toMatchObject({ code: 0, stdout: "here\n" });
  expect(await readFile(system, "utf8")).toContain(stack.address);
});

async function typed(...words: readonly string[]): Promise<Exit> {
  const session = stack.client.start("sshnp", ...words);
  session.stdin.end(TYPED);
  return await session.exit();
}
