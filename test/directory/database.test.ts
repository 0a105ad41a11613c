import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { array, assert, asyncProperty, constant, constantFrom, oneof, record, string } from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database, Operation } from "../../directory/database.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { Postgres } from "../support/postgres.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temp-folder.ts";

let folder: TemporaryFolder;
let postgres: Postgres;

beforeAll(async () => {
  folder = await temporaryFolder();
  postgres = await Postgres.start();
}, 60_000);
afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
  await folder.remove();
});

const put = (key: string, value: string): Operation => ({ type: "put", key, value });
const del = (key: string): Operation => ({ type: "del", key });
const replace = (key: string, before: string | undefined, value: string): Operation => {
  return { type: "replace", key, before, value };
};

/** Opens the same place again each time. */
const PLACES: Readonly<Record<string, () => () => Promise<Database>>> = {
  LevelDB: () => {
    const path = join(folder.path, randomUUID());
    return () => LevelDatabase.open(path);
  },
  PostgreSQL: () => () => PostgresDatabase.open(postgres.url),
};

describe.each(Object.entries(PLACES))("%s", (_name, place) => {
  /** Keys of a test's own begin with it. */
  const own = (): string => `${randomUUID()}:`;

  test("gives what was written, in the order of the keys' bytes, and after it was opened again", async () => {
    const open = place();
    const prefix = own();
    const keys = ["a", "a/b", "a b", "B", "é", "\u{ffff}", "\u{10000}", "\u{10fffe}"];
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const before = await open();
    await before.write(
      "acknowledged",
      keys.map((key) => put(prefix + key, `value of ${key}`)),
    );
    await before.close();
    const database = await open();
    expect(await database.entries(prefix)).toEqual(sorted.map((key) => [prefix + key, `value of ${key}`]));
    expect(await database.entries(`${prefix}a`)).toHaveLength(3);
    expect(await database.entriesAfter(`${prefix}a`, prefix, 2)).toEqual(
      sorted.slice(sorted.indexOf("a") + 1, sorted.indexOf("a") + 3).map((key) => [prefix + key, `value of ${key}`]),
    );
    expect(await database.getMany([`${prefix}é`, `${prefix}none`, `${prefix}a`])).toEqual([
      "value of é",
      undefined,
      "value of a",
    ]);
    await database.close();
  });

  test("does as a model does, whatever is written", async () => {
    const database = await place()();
    const key = constantFrom("1", "2", "3", "4");
    const operation = oneof(
      record({ type: constant("put" as const), key, value: string({ unit: "grapheme" }).map(withoutNul) }),
      record({ type: constant("del" as const), key }),
    );
    const write = record({
      durability: constantFrom("kept" as const, "acknowledged" as const),
      operations: array(operation, { maxLength: 5 }),
    });
    await assert(
      asyncProperty(array(write, { maxLength: 8 }), async (writes) => {
        const prefix = own();
        const model = new Map<string, string>();
        for (const { durability, operations } of writes) {
          await database.write(
            durability,
            operations.map((one) => ({ ...one, key: prefix + one.key })),
          );
          for (const one of operations) {
            if (one.type === "put") model.set(prefix + one.key, one.value);
            else model.delete(prefix + one.key);
          }
        }
        expect(new Map(await database.entries(prefix))).toEqual(model);
      }),
      { numRuns: 60 },
    );
    await database.close();
  });

  test("replaces what stands there as it was read, with all that is written beside it, or nothing", async () => {
    const database = await place()();
    const prefix = own();
    const key = `${prefix}head`;
    await database.write("acknowledged", [replace(key, undefined, "one"), put(`${prefix}x`, "1")]);
    for (const before of [undefined, "two"]) {
      await expect(
        database.write("acknowledged", [put(`${prefix}x`, "2"), replace(key, before, "other")]),
      ).rejects.toMatchObject({ code: "E_STORAGE" });
    }
    await database.write("acknowledged", [replace(key, "one", "two"), del(`${prefix}none`)]);
    expect(await database.entries(prefix)).toEqual([
      [key, "two"],
      [`${prefix}x`, "1"],
    ]);
    await database.close();
  });

  test("lets nothing come between a turn's reading and its writing", async () => {
    const database = await place()();
    const key = `${own()}count`;
    const increment = (): Promise<void> =>
      database.exclusively(async () => {
        const count = Number((await database.get(key)) ?? 0);
        await database.write("acknowledged", [put(key, String(count + 1))]);
      });
    const failing = database.exclusively(() => Promise.reject(new Error("a turn that fails")));
    const counts = Promise.all(Array.from({ length: 30 }, increment));
    await expect(failing).rejects.toThrow("a turn that fails");
    await counts;
    expect(await database.get(key)).toBe("30");
    await database.close();
  });

  test("gives a claim to one, until its time is over", async () => {
    const database = await place()();
    const key = own();
    const claims = await Promise.all(Array.from({ length: 20 }, () => database.claim(key, 2000, 1000)));
    expect(claims.filter(Boolean)).toHaveLength(1);
    expect(await database.claim(key, 3000, 2000)).toBe(false);
    expect(await database.claim(key, 3000, 2001)).toBe(true);
    await database.forgetClaims([key], 3001);
    expect(await database.claim(key, 1, 0)).toBe(true);
    await database.close();
  });

  test("takes a thousand writers at once, and what each was told stands", async () => {
    const open = place();
    const database = await open();
    const prefix = own();
    const writes = Array.from({ length: 1000 }, (_, i) => {
      return database.write(i % 20 === 0 ? "acknowledged" : "kept", [put(`${prefix}${i}`, "x")]);
    });
    await Promise.all(writes);
    await database.close();
    const again = await open();
    expect(await again.entries(prefix)).toHaveLength(1000);
    await again.close();
  });
});

function withoutNul(text: string): string {
  return text.replaceAll("\0", "");
}
