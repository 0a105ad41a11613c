import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { MovableAddress } from "../support/movable-address.ts";
import { databaseIn, Postgres } from "../support/postgres.ts";
import type { RunningProcess } from "../support/processes.ts";
import { runProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";

let postgres: Postgres;
let balancer: MovableAddress;
let stack: Stack;
let url: string;
const ports = { first: 0, second: 0 };
let second: RunningProcess;

beforeAll(async () => {
  postgres = await Postgres.start();
  url = await databaseIn(postgres.serverUrl);
  ports.first = await freePort();
  balancer = await MovableAddress.of(ports.first);
  const here = (port: number) => ["--listen", `127.0.0.1:${port}`, "--public", `http://127.0.0.1:${balancer.port}`];
  stack = await Stack.start({ directory: ["--store", url, ...here(ports.first)] });
  const data = join(stack.server.home, "second");
  const keys = join(stack.server.home, "directory");
  ports.second = await freePort();
  const words = ["--data", data, "--keys", keys, "--store", url, ...here(ports.second)];
  second = stack.server.start("sshnp-directory", "run", ...words);
  expect(await second.line(/^http/)).toMatchObject({ input: stack.address });
}, 120_000);
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await balancer[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

test("a session with a device at one directory is asked for at another, whose administrator sees the device online", async () => {
  balancer.target = ports.second;
  expect(await stack.ssh("echo", "by two")).toMatchObject({ code: 0, stdout: "by two\n" });
  const names = await stack.server.must("sshnp-directory", "names", "--data", join(stack.server.home, "second"));
  expect(names).toMatch(/mygateway \(device, online\)/);
});

test("a directory that is killed is missed by nobody: its devices are back at another", async () => {
  const held = stack.startSsh("cat");
  held.stdin.write("held\n");
  await held.line(/^held$/);
  await stack.directory.kill("SIGKILL");
  const words = ["@client", "@device", "mygateway", "--wait=30s"];
  await stack.client.must("sshnp", "ping", ...words);
  expect(await stack.ssh("echo", "by the other")).toMatchObject({ code: 0, stdout: "by the other\n" });
  held.stdin.end("still there\n");
  expect(await held.exit()).toMatchObject({ code: 0, stdout: "held\nstill there\n" });
});

test("a store goes from PostgreSQL into a folder and back, and is the same", async () => {
  await second.kill("SIGTERM");
  const { home } = stack.server;
  const folder = join(home, "folder");
  await mkdir(folder, { mode: 0o700 });
  const exported = join(home, "exported");
  const run = async (command: string): Promise<string> => {
    const exit = await runProcess("sh", ["-euc", command], { env: { HOME: home, URL: url } });
    expect(exit.code, exit.stderr).toBe(0);
    return exit.stderr;
  };
  const directory = `'${process.execPath}' dist/directory/main.js`;
  const here = `cd '${process.cwd()}'`;
  await run(`${here}; ${directory} export --data '${home}/directory' --store "$URL" > '${exported}'`);
  await run(`cp '${home}/directory/directory-keys.json' '${folder}'`);
  await run(`${here}; ! head -n -1 '${exported}' | ${directory} import --data '${folder}'`); // it ends early
  const told = await run(`${here}; ${directory} import --data '${folder}' < '${exported}'`);
  expect(told).toMatch(/^\d+ entries; the log has \d+ leaves\.\n$/);
  await run(`${here}; ${directory} export --data '${folder}' | diff - '${exported}'`);
  const another = { HOME: home, URL: await databaseIn(postgres.serverUrl) };
  const moved = `${directory} export --data '${folder}' | ${directory} import --data '${folder}' --store "$URL"`;
  const move = await runProcess("sh", ["-euc", `${here}; ${moved}`], { env: another });
  expect(move).toMatchObject({ code: 0, stderr: told });
  const compare = `${here}; ${directory} export --data '${folder}' --store "$URL" | diff - '${exported}'`;
  expect(await runProcess("sh", ["-euc", compare], { env: another })).toMatchObject({ code: 0 });
  const again = await stack.server.run("sshnp-directory", "import", "--data", folder);
  expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining("E_USAGE") as string });
});

test("a password in the arguments is refused, and keys that are not those of the store", async () => {
  const data = join(stack.server.home, "third");
  const secret = url.replace("postgres@", "postgres:secret@");
  const words = ["run", "--data", data, "--listen", "127.0.0.1:0", "--store"];
  const refused = await stack.server.run("sshnp-directory", ...words, secret);
  expect(refused.stderr).toMatch(/E_USAGE/);
  expect(refused.stderr).not.toMatch(/secret@/);
  for (const more of ["?options=-c%20statement_timeout%3D0", "?password=secret"]) {
    const other = await stack.server.run("sshnp-directory", ...words, url + more);
    expect(other).toMatchObject({ code: 2, stderr: expect.not.stringContaining("secret") as string });
  }
  const two = await stack.server.run("sshnp-directory", ...words, url, "--rendezvous", "127.0.0.1:7801");
  expect(two).toMatchObject({ code: 2, stderr: expect.stringContaining("rendezvous add") as string });
  const taken = ["run", "--data", join(stack.server.home, "fourth"), "--keys", join(stack.server.home, "directory")];
  const at = ["--listen", `127.0.0.1:${balancer.port}`, "--store", url];
  const late = await stack.server.run("sshnp-directory", ...taken, ...at);
  expect(late).toMatchObject({ code: 75, stderr: expect.stringContaining("--listen") as string });
  const foreign = await stack.server.run("sshnp-directory", ...words, url);
  expect(foreign.stderr).toMatch(/--keys[^]*E_BAD_KEY_FILE/);
});
