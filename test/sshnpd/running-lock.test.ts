import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { takeRunningLock } from "../../sshnpd/running-lock.ts";
import { startBuilt } from "../support/built-module.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

const gateway = { name: parseName("@device"), member: parseMember("mygateway") };
const LOCK = "state/running.@device.mygateway";

test("the second daemon of one member is refused and the first goes on, until it gives the lock back", async () => {
  await using folder = await temporaryFolder();
  const keys = await open(folder);
  const first = await takeRunningLock(keys, gateway);
  const refused = { code: "E_RUNNING", exitStatus: 75, message: expect.stringContaining(`(process ${process.pid})`) };
  await expect(takeRunningLock(keys, gateway)).rejects.toMatchObject(refused);
  await expect(takeRunningLock(keys, gateway)).rejects.toMatchObject(refused);
  await first.release();
  await (await takeRunningLock(keys, gateway)).release();
});

test("of many that start at once, one gets the lock", async () => {
  await using folder = await temporaryFolder();
  const keys = await open(folder);
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => takeRunningLock(keys, gateway)));
  expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  for (const result of all) if (result.status === "fulfilled") await result.value.release();
});

test("other members and other folders are other locks", async () => {
  await using folder = await temporaryFolder();
  await using elsewhere = await temporaryFolder();
  const locks = [
    await takeRunningLock(await open(folder), gateway),
    await takeRunningLock(await open(folder), { ...gateway, member: parseMember("other") }),
    await takeRunningLock(await open(folder), { ...gateway, name: parseName("@other") }),
    await takeRunningLock(await open(elsewhere), gateway),
  ];
  for (const lock of locks) await lock.release();
});

test("a lock of another process holds while it runs, and ends with kill -9", async () => {
  await using folder = await temporaryFolder();
  const keys = await open(folder);
  await using other = startBuilt(
    folder,
    `
    const { PrivateFolder } = await load("keys/private-folder.js");
    const { takeRunningLock } = await load("sshnpd/running-lock.js");
    globalThis.lock = await takeRunningLock(await PrivateFolder.open(argument), { name: "@device", member: "mygateway" });
    console.log("locked");
    setInterval(() => {}, 1e9);`,
    keys.path,
  );
  await other.line(/^locked$/);
  await expect(takeRunningLock(keys, gateway)).rejects.toMatchObject({
    code: "E_RUNNING",
    message: expect.stringContaining(`(process ${other.pid})`),
  });
  await other.kill("SIGKILL");
  await (await takeRunningLock(keys, gateway)).release();
});

test.each([
  ["the number of a process that lives", `${process.pid}\n`],
  ["the number of the first process, as every container writes it", "1\n"],
  ["anything", "\u001b[31m not a number"],
])("what an earlier daemon left behind never refuses: %s", async (_what, content) => {
  await using folder = await temporaryFolder();
  const keys = await open(folder);
  mkdirSync(join(keys.path, "state"), { mode: 0o700 });
  writeFileSync(join(keys.path, LOCK), content, { mode: 0o600 });
  await (await takeRunningLock(keys, gateway)).release();
});

test("given back, it leaves nothing", async () => {
  await using folder = await temporaryFolder();
  const keys = await open(folder);
  const lock = await takeRunningLock(keys, gateway);
  expect(existsSync(join(keys.path, LOCK))).toBe(true);
  await lock.release();
  expect(readdirSync(keys.path)).toEqual([]);
});

test("many that come and go never hold it two at once", async () => {
  await using folder = await temporaryFolder();
  const keys = await open(folder);
  mkdirSync(join(keys.path, "state"), { mode: 0o700 });
  let holders = 0;
  let held = 0;
  const comeAndGo = async (): Promise<void> => {
    while (held < 40) {
      const lock = await takeRunningLock(keys, gateway).catch((error: unknown) => {
        expect(error).toMatchObject({ code: "E_RUNNING" });
      });
      if (lock === undefined) continue;
      expect(++holders).toBe(1);
      held++;
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
      await lock.release();
    }
  };
  await Promise.all(Array.from({ length: 6 }, comeAndGo));
});

async function open(folder: TemporaryFolder): Promise<PrivateFolder> {
  return await PrivateFolder.openOrCreate(join(folder.path, "keys"));
}
