import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { LevelDatabase } from "../../directory/level-database.ts";
import { WakeRows } from "../../directory/wake-rows.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("a count of devices at the broker is made once for many that ask, and one that fails is not kept", async () => {
  await using folder = await temporaryFolder();
  const database = await LevelDatabase.open(join(folder.path, "store"));
  const read = vi.spyOn(database, "entriesAfter");
  read.mockRejectedValueOnce(new UnavailableError("E_STORAGE", "The store cannot be read."));
  const rows = new WakeRows(database);
  const ends = await Promise.allSettled([rows.count(), rows.count()]);
  expect(ends.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  expect(read).toHaveBeenCalledTimes(1);
  expect(await rows.count()).toBe(0);
  expect(await rows.count()).toBe(0);
  expect(read).toHaveBeenCalledTimes(2);
  await database.close();
});
