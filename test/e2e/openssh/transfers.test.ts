import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { copyFolder } from "../../support/copy-folder.ts";
import { type Exit, runProcess } from "../../support/processes.ts";
import type { Stack } from "../../support/stack.ts";
import { startDevice } from "./person.ts";

const MAIN = join(import.meta.dirname, "../../../dist/sshnp/main.js");

let stack: Stack;
beforeAll(async () => {
  stack = await startDevice("tcp");
});
afterAll(() => stack[Symbol.asyncDispose]());

test("sshnp cp copies both ways, by both protocols, and a tree", { timeout: 120_000 }, async () => {
  const { path, content } = folder("cp");
  for (const protocol of ["-O", "-s"]) {
    const there = `${path}/there${protocol}`;
    expect(
      await sshnp("cp", "@client", "@device", ...ssh(), protocol, join(path, "file"), `${at()}:${there}`),
    ).toMatchObject(GOOD);
    expect(await sshnp("cp", ...ssh(), protocol, `${at()}.device.np:${there}`, join(path, "back"))).toMatchObject(GOOD);
    expect(readFileSync(join(path, "back"))).toEqual(content);
  }
  expect(await sshnp("cp", "@device", ...ssh(), "-r", join(path, "tree"), `${at()}:${path}/copied`)).toMatchObject(
    GOOD,
  );
  expect(readdirSync(join(path, "copied/a"))).toEqual(["b"]);
  expect(await sshnp("cp", "@device", ...ssh(), `${at()}:${path}/file`, `${at()}:${path}/twice`)).toMatchObject(GOOD);
  expect(readFileSync(join(path, "twice"))).toEqual(content);
});

test("sshnp sftp does what its input says", async () => {
  const { path, content } = folder("sftp");
  writeFileSync(join(path, "batch"), `put ${path}/file ${path}/there\nget ${path}/there ${path}/back\n`);
  expect(await sshnp("sftp", "@device", ...ssh(), "-b", join(path, "batch"), at())).toMatchObject({ code: 0 });
  expect(readFileSync(join(path, "back"))).toEqual(content);
});

test.each(["plain", "a b", "it's", 'say "hi"'])("sshnp rsync goes with keys in a folder called %j", async (name) => {
  const { path, content } = folder(`rsync ${name}`);
  const keys = join(path, name);
  copyFolder(stack.client.keys, keys);
  const shell = ["-e", `ssh ${ssh().join(" ")}`];
  const words = ["rsync", "--keys", keys, "@device", "-a", ...shell];
  expect(await sshnp(...words, `${path}/file`, `${at()}:${path}/there`)).toMatchObject({ code: 0 });
  expect(readFileSync(join(path, "there"))).toEqual(content);
});

test("the exit status is the program's", async () => {
  const missing = await sshnp("cp", "@device", ...ssh(), `${at()}:/nothing/here`, ".");
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("No such file") });
  expect(missing.stderr).not.toContain("[E_");
  const partial = await sshnp("rsync", "@device", "-a", "-e", `ssh ${ssh().join(" ")}`, `${at()}:/nothing/here`, ".");
  expect(partial).toMatchObject({ code: 23 });
});

test.each(["cp", "rsync", "sftp"])(
  "what goes wrong with us ends %s with 255, and the last words are ours",
  async (verb) => {
    const options = verb === "rsync" ? ["-e", `ssh ${ssh().join(" ")}`] : ssh();
    const exit = await sshnp(verb, "@device", ...options, ...(verb === "sftp" ? [] : ["file"]), "nothere:");
    expect(exit.code).toBe(255);
    expect(exit.stderr).toMatch(
      /sshnp: There is no device nothere of @device that @client may see\.\n.*\n {7}\[E_UNKNOWN_NAME\]\n$/,
    );
    const usage = await sshnp(verb, "@device", "file");
    if (verb !== "sftp") expect(usage).toMatchObject({ code: 2, stderr: expect.stringContaining("[E_USAGE]") });
  },
);

test("a login that the device refuses is told as that", async () => {
  const other = stack.sshOptions.map((word) => word.replace(/^IdentityFile=.*/, "IdentityFile=/nonexistent"));
  const exit = await sshnp("cp", "@device", ...other, "-s", `${at()}:/etc/hostname`, ".");
  expect(exit).toMatchObject({ code: 255, stderr: expect.stringMatching(/Permission denied[^]*\[E_SSH_AUTH\]\n$/) });
});

test.each([
  ["cp", "There is no scp", "openssh-client"],
  ["sftp", "There is no sftp", "openssh-client"],
  ["rsync", "There is no rsync", "rsync"],
])("a machine without the program of %s is told what to install", async (verb, fact, debian) => {
  const words = [process.execPath, MAIN, verb, "@device", ...(verb === "sftp" ? [] : ["file"]), "mygateway:"];
  const exit = await runProcess("env", ["PATH=/nonexistent", ...words], stack.client.options);
  expect(exit).toMatchObject({
    code: 255,
    stderr: expect.stringMatching(new RegExp(`${fact} .*\n.*apt-get install ${debian}\n {7}\\[E_NO_SSH\\]\n$`)),
  });
});

const GOOD = { code: 0, stderr: expect.not.stringContaining("[E_") };

function sshnp(...words: string[]): Promise<Exit> {
  return stack.client.run("sshnp", ...words);
}

function ssh(): readonly string[] {
  return stack.sshOptions;
}

function at(): string {
  return `${stack.login}@mygateway`;
}

function folder(name: string): { path: string; content: Buffer } {
  const path = join(stack.client.home, name);
  mkdirSync(join(path, "tree/a/b"), { recursive: true });
  const content = randomBytes(300_000);
  writeFileSync(join(path, "file"), content);
  return { path, content };
}
