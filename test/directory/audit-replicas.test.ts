import { join } from "node:path";
import { expect, test } from "vitest";
import { databaseIn, Postgres } from "../support/postgres.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { AuditScene } from "./audit-scene.ts";
import { ScriptedWitness } from "./scripted-witness.ts";

test("directories on one store have an audit each, and are verified together", async () => {
  await using postgres = await Postgres.start();
  const store = ["--store", await databaseIn(postgres.serverUrl)];
  await using keys = await temporaryFolder();
  const shared = [...store, "--keys", join(keys.path, "keys")];
  await using one = await AuditScene.start(...shared);
  await using other = await AuditScene.start(...shared);
  await one.activated("@acme");
  await other.activated("@other");
  for (const scene of [one, other]) {
    expect(await scene.command("audit", "anchor", "--data", scene.data, ...shared)).toMatchObject({ code: 0 });
  }
  const from = ["--directory", one.address];
  const verify = (): ReturnType<typeof one.command> => one.command("audit", "verify", other.file, one.file, ...from);
  await expect.poll(verify, { timeout: 20_000 }).toMatchObject({ code: 0 }); // one has yet to see what the other has logged
  const both = await verify();
  expect([both.code, both.stdout]).toEqual([0, expect.stringContaining("4 statements with their lines")]);
  expect(both.stdout.match(/^directory [0-9a-f]{16}: /gm)).toHaveLength(2);
  // By the store itself, too.
  expect((await one.command("audit", "verify", other.file, one.file, "--data", one.data, ...shared)).code).toBe(0);
  const alone = await one.command("audit", "verify", one.file, ...from);
  expect([alone.code, alone.stderr]).toEqual([
    76,
    expect.stringMatching(/directory [0-9a-f]{16}, and none of them is here/),
  ]);
  const allowed = await one.command("audit", "verify", one.file, "--other-directories", ...from);
  expect([allowed.code, allowed.stderr]).toEqual([
    0,
    expect.stringContaining("2 statements in the log have no line here"),
  ]);
});

test("a log that too few witnesses have cosigned verifies no audit for whoever demands them", async () => {
  await using scene = await AuditScene.start();
  await using witness = await ScriptedWitness.start();
  const demand = ["--directory", scene.address, "--witness", witness.verifierKey];
  await scene.command("audit", "anchor", "--data", scene.data);
  const refused = await scene.command("audit", "verify", scene.file, ...demand);
  expect([refused.code, refused.stderr]).toEqual([76, expect.stringContaining("[E_WITNESS]")]);
  const key = witness.verifierKey;
  expect((await scene.command("witness", "add", "w1", witness.url, key, "--data", scene.data)).code).toBe(0);
  await scene.command("audit", "anchor", "--data", scene.data);
  await expect
    .poll(async () => await scene.command("audit", "verify", scene.file, ...demand), { timeout: 20_000 })
    .toMatchObject({ code: 0, stderr: expect.not.stringContaining("believed") });
});
