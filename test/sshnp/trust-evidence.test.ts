import { spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { writeKeyListFile } from "../../keys/key-list-files.ts";
import { writeSeenLog } from "../../keys/log-files.ts";
import { parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { PENDING_CHECKPOINT_MS } from "../../protocol/limits.ts";
import { LogTree } from "../rendezvous/log-tree.ts";
import { World, suite } from "../directory/world.ts";
import { readDirectoryKeys } from "../../keys/service-key-files.ts";
import { type Exit, runCommand } from "../support/processes.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

let folder: TemporaryFolder;
let world: World;
beforeAll(async () => {
  folder = await temporaryFolder();
  world = await World.start();
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await folder.remove();
});

async function keysWith(
  name: string,
  seen: Omit<Parameters<typeof writeSeenLog>[1], "v" | "directory">,
): Promise<string> {
  const path = join(folder.path, name);
  const keys = await PrivateFolder.openOrCreate(path);
  await writeSeenLog(keys, { v: 1, directory: world.directory.keyring.fingerprint, ...seen });
  await writeKeyListFile(keys, parseName("@acme"), world.directory.keyring.keyList);
  return path;
}

function evidence(keys: string, ...words: string[]): Promise<Exit> {
  return runCommand("sshnp", ["trust", "evidence", "--keys", keys, ...words], { env: { HOME: folder.path } });
}

async function trees(): Promise<[LogTree, LogTree]> {
  const keys = await readDirectoryKeys(suite, world.data);
  const key = keys?.log ?? Ed25519PrivateKey.parse(suite, new Uint8Array(32));
  const at = { origin: world.directory.keyring.origin, key };
  return [new LogTree(at, 9), new LogTree(at, 9, 3)];
}

test("where no log was caught there is nothing, and status 0", async () => {
  const [honest] = await trees();
  const keys = await keysWith("nothing", {
    checkpoint: honest.checkpoint(5),
    evidence: [],
    pending: [{ since: Date.now(), checkpoint: honest.checkpoint(7) }],
  });
  expect(await evidence(keys)).toMatchObject({ code: 0, stdout: "" });
  const json = await evidence(keys, "--json");
  expect(JSON.parse(json.stdout)).toEqual({ evidence: [], unproved: [] });
});

test("two notes of one size are shown with what anybody can check with openssl, and status 1", async () => {
  const [honest, forked] = await trees();
  const notes = [honest.checkpoint(5), forked.checkpoint(5)] as const;
  const keys = await keysWith("caught", { checkpoint: notes[0], evidence: [{ found: 0, notes }] });
  const shown = await evidence(keys);
  expect(shown.code).toBe(1);
  expect(shown.stdout).toContain("has signed two different trees of 5 entries (found 1970-01-01T00:00:00");
  for (const line of notes.join("").split("\n")) expect(shown.stdout).toContain(line);
  const json = await evidence(keys, "--json");
  expect(json.code).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({ evidence: [{ notes }], unproved: [] });

  // As it says there.
  const commands = shown.stdout.split("\n").filter((line) => /^ {2}(?:echo|openssl) /.test(line));
  expect(commands).toHaveLength(2);
  for (const note of notes) {
    const [text = "", signatures = ""] = note.split("\n\n");
    const bytes = Buffer.from(signatures.trim().split(" ")[2] ?? "", "base64");
    await writeFile(join(folder.path, "note.txt"), `${text}\n`);
    await writeFile(join(folder.path, "note.sig"), bytes.subarray(-64));
    const checked = spawnSync("sh", ["-ec", commands.join("\n")], { cwd: folder.path, encoding: "utf8" });
    expect(checked).toMatchObject({ status: 0, stdout: expect.stringContaining("Signature Verified Successfully") });
  }
});

test("a peer's checkpoint that was not proved for a day is told of, and status 1", async () => {
  const [honest, forked] = await trees();
  const since = Date.now() - PENDING_CHECKPOINT_MS;
  const pending = [{ since, checkpoint: forked.checkpoint(7) }];
  const keys = await keysWith("unproved", { checkpoint: honest.checkpoint(5), evidence: [], pending });
  const shown = await evidence(keys);
  expect(shown.code).toBe(1);
  expect(shown.stdout).toContain("has not been proved");
  expect(shown.stdout).toContain(forked.checkpoint(7).split("\n")[2]);
});
