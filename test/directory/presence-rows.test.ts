import { afterAll, beforeAll, expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { PresenceRows } from "../../directory/replicas/presence-rows.ts";
import { PRESENCES } from "../../directory/tables.ts";
import { Postgres } from "../support/postgres.ts";
import { random } from "./world.ts";

let postgres: Postgres;
beforeAll(async () => (postgres = await Postgres.start()), 60_000);
afterAll(async () => await postgres[Symbol.asyncDispose]());

const party = (member: string) => ({ name: parseName("@device"), member: parseMember(member) });
const link = () => ({ distances: undefined, notify: () => Promise.resolve(true), replace: () => {} });
const account = (since: number) => ({ since, version: "0.1.0" });

test("a row that could not be put while others are restored is owed still, and put by the next time", async () => {
  const database = await PostgresDatabase.open(postgres.url);
  const rows = new PresenceRows({ shared: database.shared, database, random }, "0a");
  await rows.put(party("first"), link(), account(1));
  await postgres.sql("DELETE FROM sshnp_entry", "sshnp");
  await postgres.sql(
    `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no room'; END$$;
     CREATE TRIGGER refuse BEFORE INSERT ON sshnp_entry FOR EACH ROW WHEN (NEW.key LIKE '%second') EXECUTE FUNCTION refuse()`,
    "sshnp",
  );
  // On the one connection for both, what is put comes before what is restored.
  const restoring = rows.restore();
  await expect(rows.put(party("second"), link(), account(2))).rejects.toMatchObject({ code: "E_STORAGE" });
  expect(await restoring).toEqual([party("first")]);
  expect(rows.isOwed).toBe(true);

  await postgres.sql("DROP TRIGGER refuse ON sshnp_entry", "sshnp");
  expect(await rows.restore()).toEqual([party("second")]);
  expect(rows.isOwed).toBe(false);
  expect(await database.entries(PRESENCES.prefix)).toHaveLength(2);
  await database.close();
  await expect(rows.restore()).rejects.toMatchObject({ code: "E_STORAGE" });
  expect(rows.isOwed).toBe(true);
});
