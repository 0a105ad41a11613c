import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { readDirectoryKeys, readRendezvousKeys } from "../../keys/service-key-files.ts";
import { nativeSuite as suite } from "../../protocol/suite/native.ts";
import { preloading, slowRename } from "../support/preload.ts";
import { type Exit, runCommand, startCommand, startProcess } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";
import { dial, readAll } from "./serving.ts";
import { newBoot, newSession, type World } from "./world.ts";

const ADDRESS = /^tcp:\/\/127\.0\.0\.1:\d+$/;
const NOWHERE = "http://127.0.0.1:1#SHA256:gUtTpu4q9CXyEi9fNEGJsCvE8Fgii5DpeHzwz4jr2ks";

let folder: TemporaryFolder;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  await folder.remove();
});

test("it takes its secret from stdin, serves, outlives kill -9 of everything, and ends in order", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "np");
  const rz = join(folder.path, "rz");
  const directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const added = await runCommand("sshnp-directory", ["rendezvous", "add", "rz1", "--data", np], { env });
  const secret = added.stdout.trim();
  const words = ["run", "--data", rz, "--directory", address, "--listen", "127.0.0.1:0", "--excerpt", "8"];

  const first = startCommand("sshnp-rendezvous", [...words, "-c", "-"], { env });
  first.stdin.end(`${secret}\n`);
  await first.line(ADDRESS);
  await Promise.all([first.kill("SIGKILL"), directory.kill("SIGKILL")]);

  const second = startCommand("sshnp-rendezvous", [...words, "--drain-seconds", "1"], { env });
  const [where] = await second.line(ADDRESS);
  expect(second.stdout).toBe(`${where}\n`);
  await carry(np, rz, where);
  const [line] = await second.errorLine(/.*"session ended".*/);
  expect(JSON.parse(line)).toMatchObject({
    ...{ clientBytes: 12, deviceBytes: 3, clientExcerpt: Buffer.from("not a na").toString("hex") },
    sid: expect.stringMatching(/^[0-9a-f]{32}$/),
    time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
  });
  expect(second.stderr + first.stderr).not.toContain(secret);
  expect(second.stderr).not.toContain("@");
  const exit = await second.kill("SIGTERM");
  expect(exit).toMatchObject({ code: 0, signal: null });
});

test("a data folder is one rendezvous': a second process does not start, and a secret for another one, and no other, is said not to be used", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "np-two");
  const data = join(folder.path, "rz-two");
  await using directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const add = (name: string): Promise<Exit> =>
    runCommand("sshnp-directory", ["rendezvous", "add", name, "--data", np], { env });
  const [one, other] = [await add("us1"), await add("us2")];
  const [ownSecret, otherSecret] = [join(folder.path, "us1-secret"), join(folder.path, "us2-secret")];
  await writeFile(ownSecret, one.stdout, { mode: 0o600 });
  await writeFile(otherSecret, other.stdout, { mode: 0o600 });
  const words = ["run", "--data", data, "--directory", address, "--listen", "127.0.0.1:0", "--drain-seconds", "0"];
  const first = startCommand("sshnp-rendezvous", [...words, "-c", one.stdout.trim()], { env });
  const [where] = await first.line(ADDRESS);

  const second = await run(...words, "--cram-file", otherSecret);
  expectError(second, 75, "E_RUNNING");
  expect(second.stderr).toContain(`(process ${first.pid})`);
  expectError(await run("witness", "--data", data, "--directory", address, "--listen", "127.0.0.1:0"), 75, "E_RUNNING");
  await carry(np, data, where);
  expect(first.stderr).not.toContain("not used");
  await first.kill("SIGKILL");

  // Whoever starts it by the same line each time hears nothing.
  const same = startCommand("sshnp-rendezvous", [...words, "--cram-file", ownSecret], { env });
  await same.errorLine(/"rendezvous serves"/);
  expect(same.stderr).not.toContain("not used");
  await same.kill("SIGKILL");

  await using again = startCommand("sshnp-rendezvous", [...words, "--cram-file", otherSecret], { env });
  await again.line(ADDRESS);
  const [told] = await again.errorLine(/^sshnp-rendezvous: .*/m);
  expect(told).toBe(
    `sshnp-rendezvous: The secret is not used: the rendezvous in ${data} is activated already. A second one needs a folder of its own: --data FOLDER`,
  );
  const listed = await runCommand("sshnp-directory", ["rendezvous", "ls", "--data", np], { env });
  expect(listed.stdout).toMatch(/^us1 +up .*\nus2 +not activated/m);
});

test("it does not use the secret up before all is on a slow disk that its next start takes", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "np3");
  const rz = join(folder.path, "rz3");
  const directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const added = await runCommand("sshnp-directory", ["rendezvous", "add", "rz1", "--data", np], { env });
  const words = ["run", "--data", rz, "--directory", address, "--listen", "127.0.0.1:0"];
  const slow = { ...env, SSHNP_CRAM: added.stdout.trim(), ...preloading(slowRename("/key-list.json", 1500)) };
  const first = startCommand("sshnp-rendezvous", words, { env: slow });
  await first.errorLine(/"msg":"activated"/);
  await first.kill("SIGKILL");

  const second = startCommand("sshnp-rendezvous", words, { env });
  await second.line(ADDRESS);
  await Promise.all([second.stop(), directory.stop()]);
});

test("whoever started it may go: it serves on without its stdout and stderr", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "np2");
  const rz = join(folder.path, "rz2");
  const directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const added = await runCommand("sshnp-directory", ["rendezvous", "add", "rz1", "--data", np], { env });
  const file = join(folder.path, "secret");
  await writeFile(file, added.stdout, { mode: 0o600 });
  const words = ["run", "--data", rz, "--directory", address, "--listen", "127.0.0.1:0", "--cram-file", file];
  const main = join(import.meta.dirname, "../../dist/rendezvous/main.js");
  const rendezvous = spawn(process.execPath, [main, ...words, "--drain-seconds", "1"], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    const [where] = (await once(rendezvous.stdout.setEncoding("utf8"), "data")) as [string];
    rendezvous.stdout.destroy();
    rendezvous.stderr.destroy();
    for (let i = 0; i < 2; i++) await carry(np, rz, where.trim());
  } finally {
    rendezvous.kill("SIGTERM");
  }
  expect(await once(rendezvous, "exit")).toEqual([0, null]);
  await directory.stop();
});

test("one that may have few files open outlives a flood of connections, and serves meanwhile", async () => {
  const env = { HOME: folder.path };
  const np = join(folder.path, "np3");
  const rz = join(folder.path, "rz3");
  const directory = startCommand("sshnp-directory", ["run", "--data", np, "--listen", "127.0.0.1:0"], { env });
  const [address] = await directory.line(/^http:.*/);
  const added = await runCommand("sshnp-directory", ["rendezvous", "add", "rz1", "--data", np], { env });
  const words = ["run", "--data", rz, "--directory", address, "--listen", "127.0.0.1:0", "-c", added.stdout.trim()];
  const main = join(import.meta.dirname, "../../dist/rendezvous/main.js");
  const limited = ["-c", 'ulimit -n 400; exec "$@"', "sh", process.execPath, main, ...words, "--drain-seconds", "1"];
  await using rendezvous = startProcess("sh", limited, { env });
  const [where] = await rendezvous.line(ADDRESS);
  const port = Number(where.split(":").at(-1));
  const flood = Array.from({ length: 1_000 }, () => connect({ port, host: "127.0.0.1" }).on("error", () => {}));
  await Promise.all(flood.map((socket) => Promise.race([once(socket, "connect"), once(socket, "close")])));
  await carry(np, rz, where);
  for (const socket of flood) socket.destroy();
  expect(await rendezvous.kill("SIGTERM")).toMatchObject({ code: 0 });
  await directory.stop();
});

test.each([
  ["--directory", "http://127.0.0.1:7800", "has no fingerprint"],
  ["--listen", "nowhere", "--listen"],
  ["--listen", "0.0.0.0:0", "--public"],
  ["--listen", "LOCALHOST:0", "--public"],
  ["--public", "np.example.org", "--public"],
  ["--public", "@device:1", "--public"],
  ["--public", "np.example.org:1,", "--public"],
  ["--public", "http://np.example.org:1", "--public"],
  ["--public", "a.example:1,b.example:1,c.example:1", "makes 6 addresses"],
  ["--excerpt", "257", "--excerpt"],
  ["--cram-file", "/nonexistent/a", "-c and --cram-file"],
])("%s %s is a usage error, told before anything is made", async (option, value, told) => {
  const data = join(folder.path, "never");
  const given = ["--directory", NOWHERE, "-c", "", option, value];
  const exit = await run("run", "--data", data, ...given);
  expect(exit).toMatchObject({ code: 2, stdout: "" });
  expect(exit.stderr).toContain(told);
  expect(exit.stderr).toContain("[E_USAGE]");
  expect(await PrivateFolder.open(data)).toBeUndefined();
});

test("unknown words and flags are usage errors, help and version are none", async () => {
  expect((await run("serve")).code).toBe(2);
  expect((await run("run", "--data", "x", "--name", "rz1")).code).toBe(2);
  expect((await run("run")).code).toBe(2);
  expect(await run("--help")).toMatchObject({ code: 0, stderr: "" });
  expect(await run("run", "--help")).toMatchObject({ code: 0, stdout: expect.stringContaining("--excerpt") });
  expect((await run("--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test("what goes wrong at the start is one fact, a next step, a code and its status", async () => {
  const data = join(folder.path, "failing");
  const base = ["run", "--data", data, "--directory", NOWHERE, "--listen", "127.0.0.1:0"];
  const secret = "0".repeat(64);
  expectError(await run(...base), 78, "E_NOT_ACTIVATED");
  expectError(await run(...base, "-c", "0".repeat(63)), 77, "E_CRAM_WRONG");
  expectError(await run(...base, "-c", secret), 69, "E_DIRECTORY");
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = address === null || typeof address === "string" ? 0 : address.port;
  expectError(await run(...base, "--listen", `127.0.0.1:${port}`, "-c", secret), 75, "E_RUNNING");
  await once(taken.close(), "close");
});

function run(...words: string[]): Promise<Exit> {
  return runCommand("sshnp-rendezvous", words, { env: { HOME: folder.path } });
}

function expectError({ code, stdout, stderr }: Exit, status: number, name: string): void {
  expect(stdout).toBe("");
  const told = stderr.split("\n").filter((line) => !line.startsWith("{"));
  expect(told).toEqual([
    expect.stringMatching(/^sshnp-rendezvous: .*\.$/),
    expect.stringMatching(/^ {18}\S.*/),
    `${" ".repeat(18)}[${name}]`,
    "",
  ]);
  expect(code).toBe(status);
}

/** Carries a few bytes between two legs that the directory would have sent there. */
async function carry(np: string, rz: string, address: string): Promise<void> {
  const directoryKeys = await readDirectoryKeys(suite, await opened(np));
  const rendezvousKeys = await readRendezvousKeys(suite, await opened(rz));
  const ticketKey = directoryKeys?.ticket[0]?.ed25519;
  if (ticketKey === undefined || rendezvousKeys === undefined) throw new Error("the keys are there");
  const world: World = { suite, ticketKey, rendezvous: rendezvousKeys.ed25519, boot: newBoot() };
  const session = newSession(world, { addresses: [address] });
  const client = await dial(world, session, "client");
  const device = await dial(world, session, "device");
  await Promise.all([client.joined, device.joined]);
  client.socket.end("not a name: ");
  expect((await readAll(device.socket)).toString()).toBe("not a name: ");
  device.socket.end("yes");
  expect((await readAll(client.socket)).toString()).toBe("yes");
}

async function opened(path: string): Promise<PrivateFolder> {
  const found = await PrivateFolder.open(path);
  if (found === undefined) throw new Error(`${path} is missing`);
  return found;
}
