import { chmod, lstat, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { expect, test } from "vitest";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { readState, removeState, writeState } from "../../keys/state-files.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

interface Pin {
  readonly owner: string;
  readonly seq: number;
}
const pinSchema: v.GenericSchema<Pin> = v.strictObject({ owner: v.string(), seq: v.number() });
const FILE = "pin.@acme";

test("what is remembered of a subject is read back, replaced and forgotten", async () => {
  await using here = await keysFolder();
  expect(await readState(here.folder, FILE, pinSchema)).toBeUndefined();
  await removeState(here.folder, FILE);
  expect(await readdir(here.path)).toEqual([]);
  await writeState(here.folder, FILE, pinSchema, { owner: "one", seq: 1 });
  expect(await readState(here.folder, FILE, pinSchema)).toEqual({ owner: "one", seq: 1 });
  await writeState(here.folder, FILE, pinSchema, { owner: "two", seq: 2 });
  expect(await readState(here.folder, FILE, pinSchema)).toEqual({ owner: "two", seq: 2 });
  expect(await readState(here.folder, "pin.@other", pinSchema)).toBeUndefined();
  await removeState(here.folder, FILE);
  expect(await readState(here.folder, FILE, pinSchema)).toBeUndefined();
  expect(await readdir(join(here.path, "state"))).toEqual([]);
});

test("it lies in state/ of the keys folder, both for the user alone, in the order of its schema", async () => {
  await using here = await keysFolder();
  await writeState(here.folder, FILE, pinSchema, { seq: 1, owner: "one" });
  expect((await lstat(join(here.path, "state"))).mode & 0o777).toBe(0o700);
  expect((await lstat(join(here.path, "state", FILE))).mode & 0o777).toBe(0o600);
  expect(await readFile(join(here.path, "state", FILE), "utf8")).toBe('{\n  "owner": "one",\n  "seq": 1\n}\n');
  expect(await here.folder.list()).toEqual(["state"]);
});

test.each([
  ["nothing", ""],
  ["half a file", '{\n  "owner": "one",\n'],
  ["another value", '{\n  "owner": 1,\n  "seq": 1\n}\n'],
  ["a field too many", '{\n  "owner": "one",\n  "seq": 1,\n  "more": 1\n}\n'],
  ["a field twice", '{\n  "owner": "one",\n  "owner": "one",\n  "seq": 1\n}\n'],
  ["another order", '{\n  "seq": 1,\n  "owner": "one"\n}\n'],
  ["other white space", '{"owner":"one","seq":1}'],
  ["zeros, as after a power cut elsewhere", "\0".repeat(40)],
  ["more than it can have", "x".repeat(5e6)],
])("a file with %s is refused by name, and stays as it is", async (_, text) => {
  await using here = await keysFolder();
  await writeState(here.folder, FILE, pinSchema, { owner: "one", seq: 1 });
  const path = join(here.path, "state", FILE);
  await writeFile(path, text);
  const reading = readState(here.folder, FILE, pinSchema);
  await expect(reading).rejects.toMatchObject({ name: "SetupError", code: "E_BAD_KEY_FILE" });
  await expect(reading).rejects.toThrow(path);
  expect(await readFile(path, "utf8")).toBe(text);
});

test("a value that could not be read back is never written", async () => {
  await using here = await keysFolder();
  await writeState(here.folder, FILE, pinSchema, { owner: "one", seq: 1 });
  const broken = writeState(here.folder, FILE, pinSchema, { owner: "two", seq: Number.NaN });
  await expect(broken).rejects.toThrow("broken invariant");
  expect(await readState(here.folder, FILE, pinSchema)).toEqual({ owner: "one", seq: 1 });
});

test("a state folder or file that others may use, or that is a link, is neither read nor written", async () => {
  const refusal = { name: "SetupError", code: "E_KEY_PERMISSIONS" };
  await using here = await keysFolder();
  await writeState(here.folder, FILE, pinSchema, { owner: "one", seq: 1 });
  await chmod(join(here.path, "state", FILE), 0o644);
  await expect(readState(here.folder, FILE, pinSchema)).rejects.toMatchObject(refusal);
  await chmod(join(here.path, "state"), 0o755);
  await expect(readState(here.folder, FILE, pinSchema)).rejects.toMatchObject(refusal);
  await expect(writeState(here.folder, FILE, pinSchema, { owner: "two", seq: 2 })).rejects.toMatchObject(refusal);
  await expect(removeState(here.folder, FILE)).rejects.toMatchObject(refusal);
  await using elsewhere = await keysFolder();
  await using linked = await keysFolder();
  await symlink(elsewhere.path, join(linked.path, "state"));
  await expect(readState(linked.folder, FILE, pinSchema)).rejects.toMatchObject(refusal);
  await expect(writeState(linked.folder, FILE, pinSchema, { owner: "two", seq: 2 })).rejects.toMatchObject(refusal);
  expect(await readdir(elsewhere.path)).toEqual([]);
});

async function keysFolder(): Promise<{ path: string; folder: PrivateFolder } & AsyncDisposable> {
  const here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(here.path);
  return { path: here.path, folder, [Symbol.asyncDispose]: () => here.remove() };
}
