import { join } from "node:path";
import { expect, test } from "vitest";
import { LevelDatabase } from "../../directory/level-database.ts";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { type WakeRow, WakeRows } from "../../directory/wake-rows.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { databaseIn, Postgres } from "../support/postgres.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { NO_POLICY, random, suite } from "./world.ts";

const DEVICE = { name: parseName("@device"), member: parseMember("mygateway") };

test("a row is removed as it was read, not that of a newer hello, which another process has taken meanwhile", async () => {
  await using postgres = await Postgres.start();
  const url = await databaseIn(postgres.serverUrl);
  const databases = [await PostgresDatabase.open(url), await PostgresDatabase.open(url)] as const;
  const [one, other] = [new WakeRows(databases[0]), new WakeRows(databases[1])];
  await one.replace(DEVICE, undefined, row());
  const before = await one.get(DEVICE);
  const newer = row();
  await other.replace(DEVICE, await other.get(DEVICE), newer);
  await expect(one.replace(DEVICE, before, undefined)).rejects.toMatchObject({ code: "E_BUSY" });
  expect((await one.get(DEVICE))?.epoch).toEqual(newer.epoch);
  await one.replace(DEVICE, await one.get(DEVICE), undefined);
  expect(await other.get(DEVICE)).toBeUndefined();
  for (const database of databases) await database.close();
});

test("a row is removed, with what it watches, where one process has the store", async () => {
  const folder = await temporaryFolder();
  const database = await LevelDatabase.open(join(folder.path, "store"));
  const rows = new WakeRows(database);
  await rows.replace(DEVICE, undefined, { ...row(), names: ["@client"] });
  await rows.replace(DEVICE, await rows.get(DEVICE), undefined);
  expect(await database.entries("")).toEqual([]);
  await database.close();
  await folder.remove();
});

function row(): WakeRow {
  const { publicKey } = X25519PrivateKey.generate(suite, random);
  return {
    ...{ epoch: random(16), nonce: random(16), connection: random(16), device: publicKey, recipient: publicKey },
    ...{ sent: 1, heard: 0, heardDistances: 0, distances: new Map(), keyListSeq: 1, checkpointSize: 0 },
    ...{ policyHash: NO_POLICY, names: [], clients: [], since: 1, version: "0.1.0", isAway: false },
  };
}
