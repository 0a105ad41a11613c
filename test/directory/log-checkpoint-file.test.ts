import { cp, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { openGuardedLog } from "../../directory/log/checkpoint-file.ts";
import type { Log } from "../../directory/log/log.ts";
import { KEEPALIVE_MS, NOTE_BYTES } from "../../protocol/limits.ts";
import { runCommand, startCommand } from "../support/processes.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { ORIGIN, textHash } from "./log-world.ts";
import { random, suite, TestClock, World } from "./world.ts";

let count = 0;
beforeEach(() => {
  count = 0;
});

/** Logs statements, one an append. */
async function append(log: Log, statements: number): Promise<void> {
  for (let i = 0; i < statements; i++) {
    count += 1;
    await log.append([{ subject: "@acme", hash: textHash(`${count}`) }], []);
  }
}

/** Puts what the store is now in place of what it was when this was called. */
async function backup(world: World): Promise<() => Promise<void>> {
  const store = join(world.data.path, "store");
  const copy = join(world.folder.path, `copy-${count}`);
  await world.pause();
  await cp(store, copy, { recursive: true });
  await world.resume();
  return async () => {
    await world.pause();
    await rm(store, { recursive: true });
    await cp(copy, store, { recursive: true });
  };
}

const file = (world: World): Promise<string> => readFile(join(world.data.path, "log-checkpoint"), "utf8");

test("the newest checkpoint is in the file once it is closed, and soon before that", async () => {
  await using world = await World.start();
  await append(world.directory.statementLog, 3);
  const { text } = world.directory.statementLog.checkpoint;
  await expect.poll(() => file(world)).toBe(text);
  await append(world.directory.statementLog, 20);
  const last = world.directory.statementLog.checkpoint.text;
  await world.pause();
  expect(await file(world)).toBe(last);
  await world.resume();
  expect(world.directory.statementLog.checkpoint.text).toBe(last);
});

test("a store from an old backup is refused with both sizes and what to do, until it is accepted, once", async () => {
  await using world = await World.start();
  await append(world.directory.statementLog, 2);
  const restore = await backup(world);
  await append(world.directory.statementLog, 3);
  await restore();
  const error = {
    name: "SetupError",
    code: "E_LOG",
    message: "The store has 5 entries of a log that had 11 when this directory last ran.",
    next: expect.stringContaining("--accept-older-log"),
  };
  await expect(world.resume()).rejects.toMatchObject(error);
  await world.pause();
  await expect(world.resume()).rejects.toMatchObject(error);
  await world.pause();

  await world.resume(0, { acceptOlderLog: true });
  expect(world.directory.statementLog.checkpoint.size).toBe(5);
  expect((await world.directory.readiness.look()).checks).toContainEqual({
    ...{ name: "log", status: "degraded", reason: "it goes on from an older log than it has published" },
  });
  await append(world.directory.statementLog, 1);
  await world.pause();
  await world.resume();
  expect(world.directory.statementLog.checkpoint.size).toBe(7);
});

test("a store that is gone, with the log in it, is refused as well", async () => {
  await using world = await World.start();
  await append(world.directory.statementLog, 2);
  await world.pause();
  await rm(join(world.data.path, "store"), { recursive: true });
  await expect(world.resume()).rejects.toMatchObject({ code: "E_LOG" });
});

test("a store with another history is refused, be it longer", async () => {
  await using world = await World.start();
  const restore = await backup(world);
  await append(world.directory.statementLog, 2);
  await world.pause();
  const published = await file(world);
  await restore();
  await world.resume(0, { acceptOlderLog: true });
  for (const statements of [2, 5]) {
    await append(world.directory.statementLog, statements);
    await world.pause();
    await writeFile(join(world.data.path, "log-checkpoint"), published);
    await expect(world.resume()).rejects.toMatchObject({
      code: "E_LOG",
      message: "The store has another log than this directory has published.",
    });
    await world.pause();
    await world.resume(0, { acceptOlderLog: true });
  }
});

test("a store that is ahead of the file, as after kill -9, is gone on with", async () => {
  await using world = await World.start();
  await append(world.directory.statementLog, 2);
  await world.pause();
  const published = await file(world);
  await world.resume();
  await append(world.directory.statementLog, 70);
  await world.pause();
  await writeFile(join(world.data.path, "log-checkpoint"), published);
  await world.resume();
  expect(world.directory.statementLog.checkpoint.size).toBe(145);
});

test.each([
  ["is empty", ""],
  ["is no note", "checkpoint\n"],
  ["is not UTF-8", Buffer.of(0xff, 0x0a)],
  ["is another directory's", undefined],
])("a file that %s is refused, not overwritten", async (_what, text) => {
  await using world = await World.start();
  await using other = await World.start();
  const bytes = text ?? other.directory.statementLog.checkpoint.text;
  await append(world.directory.statementLog, 1);
  await world.pause();
  await writeFile(join(world.data.path, "log-checkpoint"), bytes);
  await expect(world.resume()).rejects.toMatchObject({
    code: "E_LOG",
    message: expect.stringContaining("no checkpoint"),
  });
  expect(await readFile(join(world.data.path, "log-checkpoint"))).toEqual(Buffer.from(bytes));
  await world.pause();
  await world.resume(0, { acceptOlderLog: true });
});

test("a file that is too long or may be read by others is refused as every private file is", async () => {
  await using world = await World.start();
  await world.pause();
  const path = join(world.data.path, "log-checkpoint");
  await writeFile(path, "x".repeat(NOTE_BYTES + 1));
  await expect(world.resume()).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  await world.pause();
  await rm(path);
  await writeFile(path, "", { mode: 0o644 });
  await expect(world.resume()).rejects.toMatchObject({ code: "E_KEY_PERMISSIONS" });
});

test("a checkpoint that cannot be put in the file is reported, stops no append, and is in it as soon as it can be", async () => {
  await using home = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(home.path, "np"));
  const database = await LevelDatabase.open(join(folder.path, "store"));
  const errors: unknown[] = [];
  const guarded = await openGuardedLog({
    ...{ suite, folder, database, origin: ORIGIN, privateKey: Ed25519PrivateKey.generate(suite, random) },
    acceptOlder: false,
    onError: (error) => errors.push(error),
  });
  const path = join(folder.path, "log-checkpoint");
  await expect.poll(() => readFile(path, "utf8").catch(() => "")).toBe(guarded.log.checkpoint.text);
  await rm(path);
  await mkdir(join(path, "in the way"), { recursive: true });
  await append(guarded.log, 1);
  await expect.poll(() => errors.length).toBe(1);
  expect(errors).toEqual([expect.objectContaining({ code: "E_STORAGE" })]);
  await append(guarded.log, 1);
  await rm(path, { recursive: true });
  await guarded.settle();
  expect(await readFile(path, "utf8")).toBe(guarded.log.checkpoint.text);
  await database.close();
});

test("a checkpoint that could not be written is written soon after it can be, though nothing is appended", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const path = join(world.data.path, "log-checkpoint");
  await rm(path);
  await mkdir(join(path, "in the way"), { recursive: true });
  await append(world.directory.statementLog, 1);
  await rm(path, { recursive: true });
  await expect
    .poll(() => {
      clock.advance(KEEPALIVE_MS);
      return readFile(path, "utf8").catch(() => "");
    })
    .toBe(world.directory.statementLog.checkpoint.text);
});

test("sshnp-directory run refuses an old store with status 76, and takes it with --accept-older-log", async () => {
  await using world = await World.start();
  await append(world.directory.statementLog, 1);
  const restore = await backup(world);
  await append(world.directory.statementLog, 1);
  await restore();
  const env = { HOME: world.folder.path };
  const words = ["run", "--data", world.data.path, "--listen", "127.0.0.1:0"];
  const refused = await runCommand("sshnp-directory", words, { env });
  expect(refused).toMatchObject({ code: 76, stdout: "" });
  expect(refused.stderr).toContain("The store has 3 entries of a log that had 5 when this directory last ran.");
  expect(refused.stderr).toContain("--accept-older-log");
  // The end of the first has put the last line of its audit into the log.
  for (const [flags, size] of [[["--accept-older-log"], 3] as const, [[], 5] as const]) {
    await using directory = startCommand("sshnp-directory", [...words, ...flags], { env });
    const [address = ""] = await directory.line(/^http:.*$/);
    const response = await fetch(new URL("/v1/log/checkpoint", address.replace(/#.*/, "")));
    const text = await response.text();
    expect(text).toMatch(/^sshnp-directory\/SHA256:[A-Za-z0-9_-]{43}\n/);
    expect(text.split("\n")[1]).toBe(String(size));
    expect((await directory.kill("SIGTERM")).code).toBe(0);
  }
});
