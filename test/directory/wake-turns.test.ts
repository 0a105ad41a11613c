import { afterAll, beforeAll, expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { WakeRows } from "../../directory/wake-rows.ts";
import { Postgres } from "../support/postgres.ts";

let postgres: Postgres;
beforeAll(async () => (postgres = await Postgres.start()), 60_000);
afterAll(async () => await postgres[Symbol.asyncDispose]());

const party = { name: parseName("@device"), member: parseMember("gateway") };

test("what reads and replaces a row is run again where another process was faster, and not where the store does not work", async () => {
  const [one, other] = [await PostgresDatabase.open(postgres.url), await PostgresDatabase.open(postgres.url)];
  const rows = new WakeRows(one);
  const increment = async (database: PostgresDatabase, between?: () => Promise<void>): Promise<void> => {
    const before = await database.get("row");
    await between?.();
    const value = String(Number(before ?? 0) + 1);
    await database.write("kept", [{ type: "replace", key: "row", before, value }]);
  };
  let tries = 0;
  await rows.inTurn(party, async () => {
    tries += 1;
    await increment(one, tries < 3 ? () => increment(other) : undefined);
  });
  expect([tries, await other.get("row")]).toEqual([3, "3"]);
  await Promise.all([one.close(), other.close()]);

  tries = 0;
  const asking = rows.inTurn(party, async () => {
    tries += 1;
    await increment(one);
  });
  await expect(asking).rejects.toMatchObject({ code: "E_STORAGE" });
  expect(tries).toBe(1);
});
