import { cp, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { LevelDatabase } from "../../directory/level-database.ts";
import { AuditScene } from "../directory/audit-scene.ts";
import { commandFile, type Exit, runProcess } from "../support/processes.ts";

let scene: AuditScene;
/** What was printed of the store, and when it was younger. */
let whole: string;
let young: string;
beforeAll(async () => {
  scene = await AuditScene.start();
  await scene.end();
  young = await exported();
  await scene.run();
  await scene.activated("@acme");
  await scene.end();
  whole = await exported();
}, 60_000);
afterAll(async () => {
  await scene[Symbol.asyncDispose]();
});

async function exported(): Promise<string> {
  const { code, stdout } = await scene.command("export", "--data", scene.data);
  expect(code).toBe(0);
  return stdout;
}

/** The data folder without its store. */
async function emptied(name: string): Promise<string> {
  const data = join(scene.home.path, name);
  await cp(scene.data, data, { recursive: true });
  await rm(join(data, "store"), { recursive: true });
  return data;
}

async function imported(data: string, lines: string): Promise<Exit> {
  const file = `${data}.lines`;
  await writeFile(file, lines);
  const words = ["-c", 'exec "$0" "$1" import --data "$2" <"$3"', process.execPath];
  const env = { HOME: scene.home.path };
  return await runProcess("sh", [...words, commandFile("sshnp-directory"), data, file], { env });
}

test("a store that an import has not filled is not printed", async () => {
  const half = await emptied("half");
  const cut = await imported(half, whole.replace(/[^\n]*\n$/, ""));
  expect([cut.code, cut.stderr]).toEqual([70, expect.stringContaining("[E_PROTOCOL]")]);
  const refused = await scene.command("export", "--data", half);
  expect([refused.code, refused.stdout, refused.stderr]).toEqual([76, "", expect.stringContaining("has not ended")]);
  expect(await imported(half, whole)).toMatchObject({ code: 0 });
  expect(await scene.command("export", "--data", half)).toMatchObject({ code: 0, stdout: whole });
});

test("where there is no store none is made to be printed, and an empty one is none", async () => {
  const away = await emptied("away");
  const refused = await scene.command("export", "--data", away);
  expect([refused.code, refused.stdout]).toEqual([2, ""]);
  expect(refused.stderr).toMatch(/There is no store in .*\n[^]*--store URL[^]*\[E_USAGE\]/);
  expect(await readdir(away)).not.toContain("store");

  const fresh = join(scene.home.path, "fresh");
  await mkdir(fresh, { mode: 0o700 });
  await (await LevelDatabase.open(join(fresh, "store"))).close();
  const empty = await scene.command("export", "--data", fresh);
  expect([empty.code, empty.stderr]).toEqual([76, expect.stringContaining("There is no log in the store")]);
  expect(empty.stdout).not.toContain("entries");
});

test("lines without a log are no store", async () => {
  const bare = await emptied("bare");
  const lines = whole.split("\n").slice(0, -2);
  const rest = lines.filter((line) => !line.startsWith('["log:checkpoint"'));
  expect(rest).toHaveLength(lines.length - 1);
  const print = (of: readonly string[]): string => [...of, JSON.stringify({ entries: of.length - 1 }), ""].join("\n");
  for (const text of [print(rest), print(rest.slice(0, 1))]) {
    const refused = await imported(bare, text);
    expect([refused.code, refused.stderr]).toEqual([70, expect.stringContaining("not a whole store")]);
    expect((await scene.command("names", "--data", bare)).code).toBe(76);
  }
  expect(await imported(bare, whole)).toMatchObject({ code: 0 });
});

test("lines of an older log than the folder has published are said to be that", async () => {
  const older = await emptied("older");
  const refused = await imported(older, young);
  expect([refused.code, refused.stderr]).toEqual([
    76,
    expect.stringMatching(/has \d+ entries of a log that had \d+ when this directory last ran/),
  ]);
  await rename(join(older, "store"), join(older, "store-older"));
  expect(await imported(older, whole)).toMatchObject({ code: 0 });
});
