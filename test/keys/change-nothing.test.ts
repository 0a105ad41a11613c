import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { utf8, utf8Text } from "../../keys/bytes.ts";
import { lockPins } from "../../keys/peer-files.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

// In a file of its own, as there is no way back for a process.
test("a process that has promised to change nothing reads, and writes, makes, locks and removes nothing", async () => {
  await using here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(join(here.path, "keys"));
  await folder.create("key", utf8("one"));
  PrivateFolder.changeNothing();
  await folder.create("other", utf8("two"));
  await folder.replace("key", utf8("two"));
  await folder.remove("key");
  expect(await lockPins(folder, () => Promise.resolve("done"))).toBe("done");
  const missing = await PrivateFolder.openOrCreate(join(here.path, "keys/state"));
  await missing.replace("pin", utf8("two"));
  expect(await missing.read("pin", 100)).toBeUndefined();
  expect(utf8Text((await folder.read("key", 100)) ?? utf8(""))).toBe("one");
  expect(await readdir(here.path, { recursive: true })).toEqual(["keys", "keys/key"]);
  expect(await readFile(folder.pathOf("key"), "utf8")).toBe("one");
});
