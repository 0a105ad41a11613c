import { readFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hashOf, writeKeystream } from "../support/keystream.ts";
import { memoryOf } from "../support/memory.ts";
import { peakInto, preloading } from "../support/preload.ts";
import { type RunningProcess, runProcess, startProcess } from "../support/processes.ts";
import { Stack } from "../support/stack.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const MIB = 1024 * 1024;
const MAX_PEAK_BYTES = 150_000_000;
const READERS = 8;
const MAX_HELD_BYTES = 2 * MIB;
/** Nothing tells that nothing more will come; on a slower machine less is held by then, never more. */
const QUIET_MS = 2_000;

let folder: TemporaryFolder;
let stack: Stack;
beforeAll(async () => {
  folder = await temporaryFolder();
  stack = await Stack.start({ withoutTap: true });
});
afterAll(async () => {
  await stack[Symbol.asyncDispose]();
  await folder.remove();
});

test("scp carries 1 GiB unharmed, and nobody on the way needs 150 MB for it", { timeout: 240_000 }, async () => {
  const [file, copy, peaks] = ["file", "copy", "peaks"].map((name) => join(folder.path, name)) as [
    string,
    string,
    string,
  ];
  const sent = await writeKeystream(file, 1024 * MIB);
  const main = join(import.meta.dirname, "../../dist/sshnp/main.js");
  const options = [
    `ProxyCommand=${process.execPath} ${main} proxy %r@%h:%p`,
    `UserKnownHostsFile=${stack.client.keys}/state/known_hosts.%h`,
    "StrictHostKeyChecking=yes",
  ].flatMap((option) => ["-o", option]);
  const env = { HOME: stack.client.home, ...preloading(peakInto(peaks)) };
  const start = performance.now();
  const words = ["-q", ...stack.sshOptions, ...options, file, `${stack.login}@mygateway.device.np:${copy}`];
  const exit = await runProcess("scp", words, { env, timeoutMs: 180_000 });
  const seconds = (performance.now() - start) / 1000;
  expect(exit).toMatchObject({ code: 0 });
  expect(await hashOf(copy)).toBe(sent);
  tell(`1 GiB in ${seconds.toFixed(1)} s, ${((1024 * 8) / 1000 / seconds).toFixed(2)} Gibit/s`);

  const [line = ""] = readFileSync(peaks, "utf8").split("\n");
  expect(line).toMatch(/ proxy \d+$/);
  expectModest("sshnp proxy", Number(line.split(" ").at(-1)));
  for (const name of ["daemon", "rendezvous", "directory"] as const) expectModest(name, memoryOf(stack[name].pid).peak);
});

/*
 * Node's heap comes and goes by some MiB, more than a splice may hold. So eight readers stop at once, and the rendezvous has
 * served as many that did not stop before.
 */
test("readers that have stopped make the rendezvous hold no more than 2 MiB each", { timeout: 120_000 }, async () => {
  const [file, peaks] = ["file to pull", "front peaks"].map((name) => join(folder.path, name)) as [string, string];
  const sent = await writeKeystream(file, 32 * MIB);
  const main = join(import.meta.dirname, "../../dist/sshnp/main.js");
  const env = { HOME: stack.client.home, ...preloading(peakInto(peaks)) };
  const startPull = (): RunningProcess => {
    const words = [process.execPath, main, ...stack.words(`echo $$ >&2; exec cat < '${file}'`)];
    return startProcess("sh", ["-c", '"$@" | sha256sum', "sh", ...words], { env });
  };
  const finish = async (pulls: readonly RunningProcess[]): Promise<void> => {
    const exits = await Promise.all(pulls.map((each) => each.exit({ timeoutMs: 90_000 })));
    expect(exits.map(({ stdout }) => stdout)).toEqual(pulls.map(() => `${sent}  -\n`));
  };

  await finish(Array.from({ length: READERS }, startPull));
  const before = memoryOf(stack.rendezvous.pid).now;

  const pulls = Array.from({ length: READERS }, startPull);
  // With ssh stopped, its proxy and our windows hold the bytes up; with sshnp stopped, the kernel does.
  const stop = async (pull: RunningProcess, reader: RegExp): Promise<{ source: number; reader: number }> => {
    const [source] = await pull.errorLine(/^\d+$/);
    const pid = childOf(pull.pid, reader);
    process.kill(pid, "SIGSTOP");
    return { source: Number(source), reader: pid };
  };
  const stopped = await Promise.all(
    pulls.map((pull, i) => stop(pull, i % 2 === 0 ? /^ssh\0/ : /\/sshnp\/main\.js\0@client/)),
  );
  const progress = (): number =>
    stopped.map(({ source }) => positionOf(source)).reduce((sum, position) => sum + position);
  await quiet(progress);
  const held = (memoryOf(stack.rendezvous.pid).now - before) / READERS;
  tell(`${READERS} readers stopped, ${toMib(progress())} sent: the rendezvous has grown by ${toMib(held)} for each`);
  const proxies = pulls.map(({ pid }) => childOf(pid, /\/sshnp\/main\.js\0proxy/)); // ssh ends them before they could tell
  expectModest("sshnp's proxy", Math.max(...proxies.map((pid) => memoryOf(pid).peak)));
  expect(progress()).toBeLessThan(READERS * 24 * MIB); // else somebody has read it after all
  expect(held).toBeLessThanOrEqual(MAX_HELD_BYTES);

  for (const { reader } of stopped) process.kill(reader, "SIGCONT");
  await finish(pulls);
  const fronts = readFileSync(peaks, "utf8").trim().split("\n");
  expectModest("sshnp", Math.max(...fronts.map((line) => Number(line.split(" ").at(-1)))));
});

/** How far a process has read its standard input, a file. */
function positionOf(pid: number): number {
  return Number(/^pos:\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/0`, "utf8"))?.[1]);
}

/** A descendant of a process, by its command line, in which \0 ends each word. */
function childOf(ancestor: number, commandLine: RegExp): number {
  const children = readFileSync(`/proc/${ancestor}/task/${ancestor}/children`, "utf8")
    .trim()
    .split(" ")
    .filter(Boolean);
  for (const child of children.map(Number)) {
    if (commandLine.test(readFileSync(`/proc/${child}/cmdline`, "utf8"))) return child;
    const found = childOf(child, commandLine);
    if (found > 0) return found;
  }
  return 0;
}

/** Resolves when `progress` has stood still for QUIET_MS. */
async function quiet(progress: () => number): Promise<void> {
  let last = { progress: -1, since: 0 };
  await new Promise<void>((resolve) => {
    const sampler = setInterval(() => {
      const now = progress();
      if (now !== last.progress) last = { progress: now, since: performance.now() };
      if (performance.now() - last.since < QUIET_MS) return;
      clearInterval(sampler);
      resolve();
    }, 20);
  });
}

function expectModest(name: string, peak: number): void {
  tell(`${name}: at most ${toMib(peak)}`);
  expect(peak, name).toBeGreaterThan(20 * MIB); // a measurement, and not the lack of one
  expect(peak, name).toBeLessThanOrEqual(MAX_PEAK_BYTES);
}

function toMib(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`);
}
