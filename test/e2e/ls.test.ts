import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commandFile } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { Terminals } from "../support/terminals.ts";

let stack: Stack;
beforeAll(async () => {
  stack = await Stack.start();
});
afterAll(() => stack[Symbol.asyncDispose]());

const LINE = /^@device\tmygateway\tonline\t\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\t\d+\.\d+\.\d+\n$/;

test("sshnp ls shows the devices of a name, and which are online, in each form", async () => {
  expect(await ls("@client", "@device")).toMatchObject({
    code: 0,
    stderr: "",
    stdout: expect.stringMatching(LINE) as string,
  });
  expect((await ls("@device", "-o", "table")).stdout).toMatch(
    /^NAME +DEVICE +STATE +LAST SEEN +VERSION\n@device +mygateway +online +now, for .* +\d+\.\d+\.\d+\n$/,
  );
  expect((await ls("@device", "-o", "name")).stdout).toBe("mygateway.device.np\n");
  expect(JSON.parse((await ls("@device", "--json")).stdout)).toMatchObject({
    v: 1,
    devices: [{ name: "@device", device: "mygateway", host: "mygateway.device.np", state: "online", lastSeen: null }],
  });
  expect(JSON.parse((await ls("@device", "-o", "ndjson")).stdout)).toMatchObject({ v: 1, device: "mygateway" });
});

test("what is wrong with the words, and whom one may not see, is told by the status", async () => {
  expect(await ls("@device", "--watch", "--json")).toMatchObject({ code: 2, stdout: "" });
  expect(await ls("mygateway")).toMatchObject({ code: 2, stdout: "" });
  const nobody = await ls("@nobody");
  expect(nobody).toMatchObject({ code: 68, stdout: "" });
  expect(nobody.stderr).toContain("There is no device of @nobody that @client may see.");
  const json = await ls("@nobody", "--json");
  expect(JSON.parse(json.stderr)).toMatchObject({ v: 1, error: { code: "E_UNKNOWN_NAME", status: 68 } });
  expect(await ls("@\u001b[31m")).toMatchObject({ code: 2, stderr: expect.stringMatching(/^[ -~\n]+$/) as string });
});

test("a device whose name is mistyped is offered by its right one, once the session has failed", async () => {
  const { code, stderr } = await stack.client.run("sshnp", "@client", "@device", "mygatway", "true");
  expect(code).toBe(255);
  expect(stderr).toContain("There is no device mygatway of @device that @client may see. Did you mean mygateway?");
  expect(stderr).toContain("Then: sshnp @client @device mygateway");
  expect(await stack.client.run("sshnp", "@client", "@device", "mygateway", ...stack.sshOptions, "true")).toMatchObject(
    {
      code: 0,
    },
  );
  const name = await stack.client.run("sshnp", "cp", "@devise", "file", "pi@mygateway:");
  expect(name.stderr).toMatch(/ Did you mean @device\?\n +Then: sshnp cp @device file pi@mygateway:\n/);
  const other = await stack.client.run("sshnp", "@client", "@device", "printer", "true");
  expect(other.stderr).not.toContain("Did you mean");
});

test("--watch prints what changes, line by line, and ends with 130 at Ctrl-C", async () => {
  await using watching = stack.client.start("sshnp", "ls", "@device", "--watch");
  await using tables = stack.client.start("sshnp", "ls", "@device", "--watch", "-o", "wide");
  await tables.line(/^@device +mygateway +online .* mygateway\.device\.np /);
  const [, since = ""] = await watching.line(/^@device\tmygateway\tonline\t(\S+)/);
  await stack.daemon.kill("SIGTERM");
  await watching.line(/^@device\tmygateway\toffline\t\d{4}/);
  await tables.line(/^@device +mygateway +offline /);
  expect(tables.stdout).toMatch(/^NAME .*\n@device .*\n\nNAME .*\n@device .*\n/);
  expect(await tables.kill("SIGINT")).toMatchObject({ code: 130, stderr: "" });
  expect(await ls("@device", "--online")).toMatchObject({ code: 0, stdout: "" });
  expect((await ls("@device", "-o", "table")).stdout).toMatch(/ offline +just now\n$/);
  await stack.startDaemon();
  await watching.line(new RegExp(`^@device\tmygateway\tonline\t(?!${since})`));
  const { code, stdout, stderr } = await watching.kill("SIGINT");
  expect([code, stderr]).toEqual([130, ""]);
  expect(stdout.split("\n").map((line) => line.split("\t")[2])).toEqual(["online", "offline", "online", undefined]);
});

test("on a terminal --watch draws the table anew in its place; a directory that is down is told once and ends nothing", async () => {
  const bin = join(stack.client.home, "bin");
  await mkdir(bin);
  await symlink(commandFile("sshnp"), join(bin, "sshnp"));
  await using terminals = await Terminals.start({ columns: 100, rows: 24 });
  const window = await terminals.open("here", {
    env: { HOME: stack.client.home, PATH: `${bin}:${process.env["PATH"]}` },
  });
  await window.type("sshnp ls @device --watch");
  await window.shows(/mygateway +online/);
  await stack.daemon.kill("SIGTERM");
  await window.shows(/mygateway +offline/);
  expect(await window.text()).not.toMatch(/ online /);
  await stack.directory.kill("SIGTERM");
  await window.shows(/\[E_DIRECTORY\] Trying on\./);
  await stack.startDirectory();
  await window.shows(/the directory answers again/);
  await window.press("C-c");
  await window.prompt();
  expect(await window.run("echo $?")).toMatch(/^130$/m);
  await stack.startDaemon();
});

function ls(...words: string[]) {
  return stack.client.run("sshnp", "ls", ...words);
}
