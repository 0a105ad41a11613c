import { readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { once } from "node:events";
import { afterEach, beforeEach, expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { isRunning, type RunningProcess, runCommand, startCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

let home: TemporaryFolder;
let data: string;
let port: number;
let directoryPort: number;
beforeEach(async () => {
  home = await temporaryFolder();
  data = join(home.path, "np");
  [port, directoryPort] = await Promise.all([freePort(), freePort()]);
});
afterEach(() => home.remove());

test("a directory runs its rendezvous, which is up and registered before the address is told, and ends with it", async () => {
  const directory = await run();
  expect(await list()).toContain(`own   up     0`);
  expect(await list()).toContain(`tcp://127.0.0.1:${port} ws://127.0.0.1:${port}`);
  const pid = await rendezvousPid();
  expect((await directory.kill("SIGTERM")).code).toBe(0);
  expect(isRunning(pid)).toBe(false);
});

test("a rendezvous that dies is started again, with the same keys", async () => {
  await run();
  const statement = await readFile(join(data, "rendezvous/state/rendezvous.json"), "utf8");
  const first = await rendezvousPid();
  process.kill(first, "SIGKILL");
  await expect.poll(() => rendezvousPid()).not.toBe(first);
  await expect.poll(() => isListening()).toBe(true);
  expect(await readFile(join(data, "rendezvous/state/rendezvous.json"), "utf8")).toBe(statement);
});

test("a rendezvous outlives a kill -9 of its directory, whose next start goes on with it and its sessions", async () => {
  const killed = await run();
  const pid = await rendezvousPid();
  const session = connect(port, "127.0.0.1");
  await once(session, "connect");
  await killHard(killed);
  expect(isRunning(pid)).toBe(true);
  const next = await run();
  expect(await rendezvousPid()).toBe(pid);
  expect(session.closed).toBe(false);
  expect(await list()).toContain("own   up");
  session.destroy();
  await next.kill("SIGTERM");
  expect(isRunning(pid)).toBe(false);
});

test("one that was left behind with other settings is replaced", async () => {
  await killHard(await run());
  const pid = await rendezvousPid();
  port = await freePort();
  await run();
  expect(isRunning(pid)).toBe(false);
  expect(await list()).toContain(`tcp://127.0.0.1:${port}`);
});

test("one whose data are lost is made anew, by a statement that continues the one before", async () => {
  await (await run()).kill("SIGTERM");
  const seq = async (): Promise<number> => {
    const file = await readFile(join(data, "rendezvous/state/rendezvous.json"), "utf8");
    const { statement } = JSON.parse(file) as { statement: { text: string } };
    return (JSON.parse(statement.text) as { seq: number }).seq;
  };
  expect(await seq()).toBe(1);
  await rm(join(data, "rendezvous"), { recursive: true });
  await run();
  expect(await seq()).toBe(2);
  expect(await list()).toContain("own   up");
});

async function run(): Promise<RunningProcess> {
  const words = ["run", "--data", data, "--listen", `127.0.0.1:${directoryPort}`, "--rendezvous", `127.0.0.1:${port}`];
  const directory = startCommand("sshnp-directory", words, { env: { HOME: home.path } });
  await directory.line(/^http:/);
  return directory;
}

/** Its rendezvous goes on, and holds its stderr open. */
async function killHard({ pid }: RunningProcess): Promise<void> {
  process.kill(pid, "SIGKILL");
  await expect.poll(() => isRunning(pid)).toBe(false);
}

async function list(): Promise<string> {
  const exit = await runCommand("sshnp-directory", ["rendezvous", "ls", "--data", data], { env: { HOME: home.path } });
  return exit.stdout;
}

async function rendezvousPid(): Promise<number> {
  return Number(await readFile(join(data, "rendezvous.pid"), "utf8"));
}

async function isListening(): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
