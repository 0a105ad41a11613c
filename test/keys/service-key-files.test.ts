import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { chmod, lstat, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { base64 } from "../../keys/bytes.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import {
  createDirectoryKeys,
  createRendezvousKeys,
  type DirectoryKeys,
  readDirectoryKeys,
  readRendezvousKeys,
  rotateDirectoryKeys,
  rotationDue,
} from "../../keys/service-key-files.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

const suite = await loadSuite(process.env["SSHNP_CRYPTO"]);
const random = (length: number): Uint8Array => randomBytes(length);
const WEEK = 7 * 24 * 60 * 60_000;
const START = 1_700_000_000_000;

test("a directory's keys are made once, and are the same at the next start", async () => {
  await using here = await dataFolder();
  expect(await readDirectoryKeys(suite, here.folder)).toBeUndefined();
  const keys = await createDirectoryKeys(here.folder, { suite, random, now: START });
  expect([keys.sealing, keys.ticket].map((list) => list.length)).toEqual([1, 1]);
  expect(secretsOf(await readDirectoryKeys(suite, here.folder))).toEqual(secretsOf(keys));
  expect(new Set(secretsOf(keys)).size).toBe(4);
  expect((await lstat(join(here.path, "directory-keys.json"))).mode & 0o777).toBe(0o600);
  const again = createDirectoryKeys(here.folder, { suite, random, now: START });
  await expect(again).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
  expect(secretsOf(await readDirectoryKeys(suite, here.folder))).toEqual(secretsOf(keys));
});

test("the file is the text that it says", async () => {
  await using here = await dataFolder();
  let count = 0;
  const counted = (length: number): Uint8Array => new Uint8Array(length).fill(++count);
  await createDirectoryKeys(here.folder, { suite, random: counted, now: START });
  const key = (number: number): string => base64(new Uint8Array(32).fill(number));
  expect(await readFile(join(here.path, "directory-keys.json"), "utf8")).toBe(`{
  "v": 1,
  "kind": "directory",
  "root": "${key(1)}",
  "sealing": [
    {
      "x25519": "${key(2)}",
      "notAfter": ${START + 2 * WEEK}
    }
  ],
  "ticket": [
    {
      "ed25519": "${key(3)}",
      "notAfter": ${START + 2 * WEEK}
    }
  ],
  "log": "${key(4)}"
}
`);
});

test("sealing and ticket keys rotate every week; the one before is kept, the one before that is nowhere on disk", async () => {
  await using here = await dataFolder();
  let keys = await createDirectoryKeys(here.folder, { suite, random, now: START });
  const generations = [keys];
  for (let week = 1; week <= 4; week++) {
    expect(rotationDue(keys)).toBe(START + week * WEEK);
    keys = await rotateDirectoryKeys(here.folder, keys, { suite, random, now: rotationDue(keys) });
    generations.push(keys);
    expect(secretsOf(await readDirectoryKeys(suite, here.folder))).toEqual(secretsOf(keys));
    const onDisk = await textsIn(here.path);
    generations.forEach(({ root, log, sealing: [current], ticket: [signing] }, generation) => {
      const isKept = generation >= week - 1;
      expect(onDisk.includes(base64(current?.x25519.secretBytes() ?? new Uint8Array(0)))).toBe(isKept);
      expect(onDisk.includes(base64(signing?.ed25519.secretBytes() ?? new Uint8Array(0)))).toBe(isKept);
      expect([root.toJSON(), log.toJSON()]).toEqual([keys.root.toJSON(), keys.log.toJSON()]);
    });
    expect(keys.sealing[1]).toEqual(generations[week - 1]?.sealing[0]);
    expect(keys.ticket[1]).toEqual(generations[week - 1]?.ticket[0]);
  }
});

test("after a long absence the old keys are past their end and go at once", async () => {
  await using here = await dataFolder();
  const keys = await createDirectoryKeys(here.folder, { suite, random, now: START });
  const rotated = await rotateDirectoryKeys(here.folder, keys, { suite, random, now: START + 2 * WEEK });
  expect([rotated.sealing, rotated.ticket].map((list) => list.length)).toEqual([1, 1]);
  expect(await textsIn(here.path)).not.toContain(base64(keys.sealing[0]?.x25519.secretBytes() ?? new Uint8Array(0)));
});

test("a rendezvous' keys are made once, and are the same at the next start", async () => {
  await using here = await dataFolder();
  expect(await readRendezvousKeys(suite, here.folder)).toBeUndefined();
  const keys = await createRendezvousKeys(here.folder, { suite, random });
  const read = await readRendezvousKeys(suite, here.folder);
  expect(read?.x25519.secretBytes()).toEqual(keys.x25519.secretBytes());
  expect(read?.ed25519.secretBytes()).toEqual(keys.ed25519.secretBytes());
  await expect(createRendezvousKeys(here.folder, { suite, random })).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
});

test("a damaged file is refused by name, and not replaced", async () => {
  await using here = await dataFolder();
  await createDirectoryKeys(here.folder, { suite, random, now: START });
  await createRendezvousKeys(here.folder, { suite, random });
  for (const [file, read] of [
    ["directory-keys.json", readDirectoryKeys],
    ["rendezvous-keys.json", readRendezvousKeys],
  ] as const) {
    const path = join(here.path, file);
    const text = await readFile(path, "utf8");
    const others = [
      "",
      text.slice(0, -1),
      `${text}\n`,
      text.replace('"v": 1', '"v": 2'),
      text.replace(/"kind": ".*"/, '"kind": "owner"'),
      text.replace(/("x25519": ").*"/, '$1AAAA"'),
      text.replace(/("ed25519": ").*"/, '$1"'),
      text.replace('"kind"', '"kind": "directory",\n  "kind"'),
      text.replace("{\n", '{\n  "note": "",\n'),
    ];
    for (const other of others) {
      expect(other).not.toBe(text);
      await writeFile(path, other);
      const reading = read(suite, here.folder);
      await expect(reading).rejects.toMatchObject({ name: "SetupError", code: "E_BAD_KEY_FILE" });
      await expect(reading).rejects.toThrow(path);
      expect(await readFile(path, "utf8")).toBe(other);
    }
  }
});

test("a directory's file without a current key, with a third one, or with a time that is none, is refused", async () => {
  await using here = await dataFolder();
  await createDirectoryKeys(here.folder, { suite, random, now: START });
  const path = join(here.path, "directory-keys.json");
  const good = JSON.parse(await readFile(path, "utf8")) as { sealing: object[]; ticket: object[] };
  const [entry = {}] = good.sealing;
  for (const sealing of [
    [],
    [entry, entry, entry],
    [{ ...entry, notAfter: 1.5 }],
    [{ ...entry, notAfter: -1 }],
    good.ticket,
  ]) {
    await writeFile(path, `${JSON.stringify({ ...good, sealing }, null, 2)}\n`);
    await expect(readDirectoryKeys(suite, here.folder)).rejects.toMatchObject({ code: "E_BAD_KEY_FILE" });
  }
  await writeFile(path, `${JSON.stringify({ ...good, sealing: [entry, entry] }, null, 2)}\n`);
  expect((await readDirectoryKeys(suite, here.folder))?.sealing).toHaveLength(2);
});

test("a file that others may read is refused", async () => {
  await using here = await dataFolder();
  await createDirectoryKeys(here.folder, { suite, random, now: START });
  await chmod(join(here.path, "directory-keys.json"), 0o640);
  await expect(readDirectoryKeys(suite, here.folder)).rejects.toMatchObject({ code: "E_KEY_PERMISSIONS" });
});

async function dataFolder(): Promise<{ path: string; folder: PrivateFolder } & AsyncDisposable> {
  const here = await temporaryFolder();
  const folder = await PrivateFolder.openOrCreate(here.path);
  return { path: here.path, folder, [Symbol.asyncDispose]: () => here.remove() };
}

/** All secrets, current ones first. */
function secretsOf(keys: DirectoryKeys | undefined): string[] {
  if (keys === undefined) return [];
  const { root, log, sealing, ticket } = keys;
  const all = [root, log, ...sealing.map((entry) => entry.x25519), ...ticket.map((entry) => entry.ed25519)];
  return all.map((key) => base64(key.secretBytes()));
}

/** Everything that lies in a folder, hidden files too. */
async function textsIn(path: string): Promise<string> {
  const texts = await Promise.all((await readdir(path)).map((file) => readFile(join(path, file), "utf8")));
  return texts.join("\n");
}

test("who was stopped while it rotated the keys does not undo what another has done meanwhile", async () => {
  await using here = await dataFolder();
  const keys = await createDirectoryKeys(here.folder, { suite, random, now: START });
  const making = { suite, random, now: START + WEEK };
  const textOfOld = await readFile(join(here.path, "directory-keys.json"));
  const others = await rotateDirectoryKeys(here.folder, keys, making);
  const file = join(here.path, "directory-keys.json");
  const text = readFileSync(file);
  await here.folder.replace("directory-keys.json", textOfOld);
  const late = (length: number): Uint8Array => {
    writeFileSync(file, text);
    return random(length);
  };
  expect(secretsOf(await rotateDirectoryKeys(here.folder, keys, { ...making, random: late }))).toEqual(
    secretsOf(others),
  );
  expect(secretsOf(await readDirectoryKeys(suite, here.folder))).toEqual(secretsOf(others));
});
