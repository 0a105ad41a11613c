import { readdir, readlink } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { Writable } from "node:stream";
import { pino } from "pino";
import { expect, test } from "vitest";
import { AUDIT_FIRST_ANCHOR_MS } from "../../protocol/limits.ts";
import { TestClock, World } from "./world.ts";

test("a start that fails leaves no file of the audit open, and says what it failed by", async () => {
  await using world = await World.start();
  expect(await openFiles(world)).not.toEqual([]);
  await world.pause();
  const taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  const address = taken.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  await expect(world.resume(port)).rejects.toMatchObject({ code: "E_RUNNING" });
  expect(await openFiles(world)).toEqual([]);
  taken.close();
  await world.store.close();
});

test("a directory that ends while it anchors its audit waits for that", async () => {
  const failures: string[] = [];
  const destination = new Writable({
    write: (line: Buffer, _encoding, done) => {
      failures.push(line.toString());
      done();
    },
  });
  const clock = new TestClock();
  await using world = await World.start({ clock, log: pino({ level: "error" }, destination) });
  const { statementLog, port } = world.directory;
  const { size } = statementLog.checkpoint;
  let letGo = (): void => {};
  const turn = world.store.exclusively(() => new Promise<void>((resolve) => (letGo = resolve)));
  clock.leap(AUDIT_FIRST_ANCHOR_MS);
  let hasEnded = false;
  const pausing = world.pause().then(() => (hasEnded = true));
  await expect.poll(() => fetch(`http://127.0.0.1:${port}/`).catch(() => "refused")).toBe("refused");
  for (let i = 0; i < 200; i++) await readdir(world.folder.path);
  expect(hasEnded).toBe(false);
  letGo();
  await Promise.all([turn, pausing]);
  expect(statementLog.checkpoint.size).toBe(size + 2); // two leaves each time
  expect(failures).toEqual([]);
});

/** Those of the audit that this process has open. */
async function openFiles(world: World): Promise<string[]> {
  const links = (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => ""));
  return (await Promise.all(links)).filter((path) => path.startsWith(`${world.data.path}/audit`));
}
