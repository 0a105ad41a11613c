/**
 * What people read when something goes wrong: each failure is brought about with the real programs, and all that they print
 * is one file in errors/. Nothing but this goes to stdout or stderr.
 */
import { createServer } from "node:net";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { EXIT_STATUS, type ErrorCode } from "../../keys/errors.ts";
import { freePort } from "../support/free-port.ts";
import type { CommandName } from "../support/processes.ts";
import { type SshServer, startSshServer } from "../support/sshd.ts";
import { Machine, Stack } from "../support/stack.ts";

let stack: Stack;
let reimaged: SshServer;
beforeAll(async () => {
  stack = await Stack.start();
  expect(await stack.ssh("true")).toMatchObject({ code: 0 }); // the device and its host keys are pinned from here on
  reimaged = await startSshServer();
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await reimaged.stop();
});

describe("while everything runs", () => {
  test("E_UNKNOWN_NAME: a typing error", () => session("E_UNKNOWN_NAME", ["@client", "@device", "pi@mygatway"]));

  test("E_NEVER_SEEN: a device whose daemon was never started", async () => {
    const machine = await machineOf("@second", "-d", "spare");
    expect(machine.home).toContain("second");
    await session("E_NEVER_SEEN", ["@client", "@second", "pi@spare"]);
  });

  test("E_DEVICE_REFUSED: a client that the device does not list", async () => {
    const machine = await machineOf("@alice");
    await session("E_DEVICE_REFUSED", ["@alice", "@device", "pi@mygateway"], machine);
  });

  test("E_OWNER_KEY: another owner than the one whose fingerprint was given", () =>
    session("E_OWNER_KEY", ["@client", `@device=SHA256:${"A".repeat(43)}`, "pi@mygateway"]));

  test("E_NO_KEYS: a machine without keys", async () => {
    await session("E_NO_KEYS", ["@client", "@device", "pi@mygateway"], await newMachine("keyless"));
  });

  test("E_SSH_AUTH: ssh's own keys are not admitted", () =>
    session("E_SSH_AUTH", [
      ...["@client", "@device", `${stack.login}@mygateway`, "-F", "none"],
      ...["BatchMode=yes", "IdentityFile=none", "IdentityAgent=none"].flatMap((option) => ["-o", option]),
    ]));

  test("E_CRAM_WRONG: a secret that is not the one", async () => {
    await stack.addName("@wrong");
    const words = ["activate", "-a", "@wrong", "-c", "0".repeat(64), "--directory", stack.address];
    await expectGolden("E_CRAM_WRONG", "sshnp-keys", words, await newMachine("wrong"));
  });

  test("E_CRAM_USED: a secret that was used by somebody else", async () => {
    const secret = await stack.addName("@used");
    const words = ["activate", "-a", "@used", "-c", secret, "--directory", stack.address];
    await (await newMachine("first")).must("sshnp-keys", ...words);
    await expectGolden("E_CRAM_USED", "sshnp-keys", words, await newMachine("late"));
  });

  test("E_PENDING: keys that wait for their owner", async () => {
    const password = await stack.client.must("sshnp-keys", "otp", "@client");
    const words = [
      "enroll",
      "@client",
      "laptop2",
      "--otp",
      password.split("\n").at(-1) ?? "",
      "--directory",
      stack.address,
    ];
    await expectGolden("E_PENDING", "sshnp-keys", words, await newMachine("laptop2"));
  });

  test("E_USAGE: half a command line", () => expectGolden("E_USAGE", "sshnp", ["@client", "@device"], stack.client));
});

describe("when a part is away", () => {
  test("E_NO_SSHD: nothing on the device speaks SSH", async () => {
    await stack.daemon.stop();
    await stack.startDaemon("--ssh-mode", "tcp", "--ssh-port", String(await freePort()));
    await session("E_NO_SSHD", ["@client", "@device", "pi@mygateway"]);
    await stack.daemon.stop();
  });

  test("E_HOST_KEY: the device was set up anew", async () => {
    await stack.startDaemon("--ssh-mode", "tcp", "--ssh-port", String(reimaged.port));
    await session("E_HOST_KEY", ["@client", "@device", "pi@mygateway"]);
    await stack.daemon.stop();
  });

  test("E_OFFLINE: a device that was there a moment ago", async () => {
    await stack.startDaemon();
    await stack.daemon.stop();
    await session("E_OFFLINE", ["@client", "@device", "pi@mygateway"]);
  });

  test("E_RENDEZVOUS: a rendezvous that was there a moment ago", async () => {
    await stack.startDaemon();
    await stack.rendezvous.kill("SIGKILL");
    await stack.tap[Symbol.asyncDispose]();
    await session("E_RENDEZVOUS", ["@client", "@device", "pi@mygateway"]);
  });

  test("E_DIRECTORY: no directory", async () => {
    await stack.directory.kill("SIGKILL");
    await session("E_DIRECTORY", ["@client", "@device", "pi@mygateway"]);
  });

  test("E_DIRECTORY: something else where the directory should be", async () => {
    const port = Number(/:(\d+)#/.exec(stack.address)?.[1]);
    const server = createServer((socket) => {
      socket.on("error", () => {}).end("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    }).listen(port, "127.0.0.1");
    try {
      await session("E_DIRECTORY", ["@client", "@device", "pi@mygateway"], stack.client, "E_DIRECTORY.other-server");
    } finally {
      server.close();
    }
  });
});

/** A session that does not come about: all statuses are ssh's. */
async function session(code: ErrorCode, words: string[], machine = stack.client, file: string = code): Promise<void> {
  await expectGolden(code, "sshnp", [...words, "true"], machine, file);
}

async function expectGolden(
  code: ErrorCode,
  command: CommandName,
  words: readonly string[],
  machine: Machine,
  file: string = code,
): Promise<void> {
  const exit = await machine.run(command, ...words);
  const isSession = command === "sshnp" && code !== "E_USAGE";
  expect({ code: exit.code, stdout: exit.stdout }).toEqual({ code: isSession ? 255 : EXIT_STATUS[code], stdout: "" });
  const blocks = exit.stderr.split(/^(?=\S)/m);
  expect(blocks.at(-1)).toMatch(/^\S+: .+\n +\S.+\n +\[E_\w+\]\n$/); // a fact, a next step, the code
  const text = `$ ${[command, ...words].join(" ")}\n${exit.stderr}status ${String(exit.code)}\n`;
  await expect(withoutWhatChanges(text, machine)).toMatchFileSnapshot(`errors/${file}.txt`);
}

/** Ports, fingerprints, times, secrets and folders of this run. */
function withoutWhatChanges(text: string, machine: Machine): string {
  return text
    .replaceAll(machine.home, "HOME")
    .replaceAll(join(machine.home, ".."), "FOLDER")
    .replaceAll(`${stack.login}@`, "pi@")
    .replaceAll(`user ${stack.login}`, "user pi")
    .replace(/SHA256:(?!A{43})[A-Za-z0-9+/]{43}/g, "SHA256:...")
    .replace(/127\.0\.0\.1:\d+/g, "127.0.0.1:PORT")
    .replace(/ -p \d+ /g, " -p PORT ")
    .replace(/20\d\d-\d\d-\d\d \d\d:\d\d UTC/g, "2026-11-22 10:41 UTC")
    .replace(/20\d\d-\d\d-\d\d/g, "2026-11-22")
    .replace(/\b[0-9a-f]{64}\b/g, "SECRET")
    .replace(/\b(?:[0-9a-z]{4}-){3}[0-9a-z]{4}\b/g, "abcd-efgh-jkmn-pqrs");
}

async function newMachine(folder: string): Promise<Machine> {
  const home = join(stack.client.home, "..", folder);
  await mkdir(home, { mode: 0o700 });
  return new Machine(home);
}

async function machineOf(name: string, ...words: string[]): Promise<Machine> {
  const machine = await newMachine(name.slice(1));
  const secret = await stack.addName(name);
  await machine.must("sshnp-keys", "activate", "-a", name, "-c", secret, "--directory", stack.address, ...words);
  return machine;
}
