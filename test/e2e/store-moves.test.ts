import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { AuditScene } from "../directory/audit-scene.ts";
import { freePort } from "../support/free-port.ts";
import { databaseIn, Postgres } from "../support/postgres.ts";
import { preloading, slowRename } from "../support/preload.ts";
import { commandFile, type Exit, runProcess, startCommand } from "../support/processes.ts";

let postgres: Postgres;
let scene: AuditScene;
let url: string;
beforeAll(async () => {
  postgres = await Postgres.start();
  url = await databaseIn(postgres.serverUrl);
  scene = await AuditScene.start();
  await scene.activated("@acme");
  await scene.end();
}, 60_000);
afterAll(async () => {
  await scene[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});

/** A line of a shell, where `sshnp-directory` is a command, in the folder where `np` is. */
function shell(line: string): Promise<Exit> {
  const command = `sshnp-directory() { '${process.execPath}' '${commandFile("sshnp-directory")}' "$@"; }; cd '${scene.home.path}'; ${line}`;
  return runProcess("bash", ["-euc", command], { env: { HOME: scene.home.path, URL: url } });
}

const entries = (): Promise<string> => postgres.sql("SELECT count(*) FROM sshnp_entry", new URL(url).pathname.slice(1));

test("a start on an empty database, or one that is half filled, is refused and leaves it as it was: it can be imported into", async () => {
  const onDatabase = ["--data", scene.data, "--store", url];
  const started = (): Promise<Exit> => scene.command("run", "--listen", "127.0.0.1:0", ...onDatabase);
  const early = await started();
  expect([early.code, early.stderr]).toEqual([76, expect.stringMatching(/The store is empty, .* had \d+ entries/)]);
  expect(early.stderr).toContain("sshnp-directory import --data DIR --store URL");
  expect(await scene.command("name", "add", "@early", ...onDatabase)).toMatchObject({ code: 76, stdout: "" });
  expect(await scene.command("audit", "verify", ...onDatabase)).toMatchObject({ code: 76, stdout: "" });
  expect(await entries()).toBe("0");

  const cut = await shell(
    'sshnp-directory export --data np | head -n -1 | sshnp-directory import --data np --store "$URL"',
  );
  expect(cut.stderr).toContain("[E_PROTOCOL]");
  const half = await entries();
  const between = await started();
  expect([between.code, between.stderr]).toEqual([76, expect.stringContaining("has not ended")]);
  expect(between.stderr).toContain("sshnp-directory import --data DIR --store URL");
  expect(await scene.command("names", ...onDatabase)).toMatchObject({ code: 76, stdout: "" });
  expect(await entries()).toBe(half);

  const whole = 'sshnp-directory export --data np | sshnp-directory import --data np --store "$URL"';
  expect(await shell(whole)).toMatchObject({ code: 0 });
  await shell("mv np/store np-store-old");
  const twice = await shell(
    'sshnp-directory export --data np --store "$URL" | sshnp-directory import --data np --store "$URL"',
  );
  expect([twice.code, twice.stderr]).toEqual([2, expect.stringContaining("dropped and created anew")]);
});

test("a directory that is killed as soon as it serves on a database has left its folder's store", async () => {
  const port = await freePort();
  const env = { HOME: scene.home.path, ...preloading(slowRename("/address", 600_000)) };
  const words = ["run", "--data", scene.data, "--store", url, "--listen", `127.0.0.1:${port}`];
  await using directory = startCommand("sshnp-directory", words, { env });
  const serves = (): Promise<boolean> =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    );
  await expect.poll(serves, { timeout: 20_000 }).toBe(true);
  await directory.kill("SIGKILL");
  const refused = await scene.command("names", "--data", scene.data);
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining("has last run with --store")]);
});

test("once a directory has run on a database, nothing reads its folder's old store, or writes into it, unasked", async () => {
  await scene.run("--store", url);
  expect((await scene.command("name", "add", "@moved", "--data", scene.data)).code).toBe(0);
  const second = ["run", "--data", "two", "--keys", "np", "--store", url, "--listen", "127.0.0.1:0"];
  await using two = startCommand("sshnp-directory", second, { env: { HOME: scene.home.path } });
  const [fingerprint] = /#.*$/.exec(scene.address) ?? [];
  expect(await two.line(/^http/)).toMatchObject({ input: expect.stringContaining(fingerprint ?? "none") as string });
  await two.kill("SIGTERM");
  await scene.end();
  await rename(join(scene.home.path, "np-store-old"), join(scene.data, "store"));
  for (const words of [
    ["name", "add", "@lost"],
    ["names"],
    ["rendezvous", "ls"],
    ["witness", "ls"],
    ["export"],
    ["audit", "anchor"],
    ["audit", "verify"],
    ["run", "--listen", "127.0.0.1:0"],
  ]) {
    const refused = await scene.command(...words, "--data", scene.data);
    expect([words, refused.code, refused.stdout]).toEqual([words, 2, ""]);
    expect(refused.stderr).toMatch(/has last run with --store\.\n[^]*--store URL[^]*\[E_USAGE\]/);
  }
  const names = await scene.command("names", "--data", scene.data, "--store", url);
  expect([names.code, names.stdout]).toEqual([0, expect.stringMatching(/@acme[^]*@moved/)]);
  const keys = join(scene.home.path, "keys");
  const other = ["--data", join(scene.home.path, "other"), "--keys", keys];
  for (const _ of ["first", "second"]) {
    const foreign = await scene.command("run", ...other, "--store", url, "--listen", "127.0.0.1:0");
    expect([foreign.code, foreign.stderr]).toEqual([65, expect.stringContaining("There are no keys in")]);
  }
});

test("the way back is an import into the folder, from where its old store was moved away", async () => {
  const back = 'sshnp-directory export --data np --store "$URL" | sshnp-directory import --data';
  const inUse = await shell(`${back} np`);
  expect([inUse.code, inUse.stderr]).toEqual([2, expect.stringContaining("move the folder `store` out")]);
  const elsewhere = await shell(`${back} back`);
  expect([elsewhere.code, elsewhere.stderr]).toEqual([
    78,
    expect.stringContaining("the data folder that has the keys"),
  ]);
  await mkdir(join(scene.home.path, "bare"), { mode: 0o700 });
  expect(await shell(`${back} bare`)).toMatchObject({ code: 78 });
  expect(await shell(`mv np/store np-store-old; ${back} np`)).toMatchObject({ code: 0 });
  const names = await scene.command("names", "--data", scene.data);
  expect([names.code, names.stdout]).toEqual([0, expect.stringMatching(/@acme[^]*@moved/)]);
  await scene.run();
  expect((await scene.audit("anchor")).code).toBe(0);
  const theirs = join(scene.home.path, "two/audit.ndjson");
  expect((await scene.audit("verify", scene.file, theirs)).code).toBe(0);
  await scene.end();
});

test("where the database is lost, the old store is gone on with at the operator's word", async () => {
  await using other = await AuditScene.start();
  await other.end();
  await rename(join(other.data, "store"), join(other.home.path, "old"));
  await other.run("--accept-older-log", "--store", await databaseIn(postgres.serverUrl));
  await other.end();
  await rename(join(other.home.path, "old"), join(other.data, "store"));
  expect((await other.command("names", "--data", other.data)).code).toBe(2);
  await other.run("--accept-older-log");
  await other.end();
  expect((await other.command("names", "--data", other.data)).code).toBe(0);
});
