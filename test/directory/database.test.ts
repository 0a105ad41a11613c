import { randomUUID } from "node:crypto";
import { join } from "node:path";
import {
  array,
  assert,
  asyncProperty,
  boolean,
  constant,
  constantFrom,
  oneof,
  option,
  record,
  string,
} from "fast-check";
import { Client } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SYSTEM_CLOCK } from "../../directory/clock.ts";
import { ConflictError } from "../../directory/conflict.ts";
import type { Database, Operation } from "../../directory/database.ts";
import { LevelDatabase } from "../../directory/level-database.ts";
import { ObservedDatabase } from "../../directory/observed-database.ts";
import { MIGRATIONS } from "../../directory/postgres/migrations.ts";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { Leases } from "../../directory/replicas/leases.ts";
import { LOG_TABLES } from "../../directory/log/rows.ts";
import { TABLES } from "../../directory/tables.ts";
import { exportStore, importStore, LOG_CHECKPOINT } from "../../directory/transfer.ts";
import { DeniedError, UnavailableError } from "../../keys/errors.ts";
import { POSTGRES_TURNS } from "../../protocol/limits.ts";
import { databaseIn, Postgres } from "../support/postgres.ts";
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
const replace = (key: string, before: string | undefined, value: string | undefined): Operation => {
  return { type: "replace", key, before, value };
};

async function clear(database: Database): Promise<void> {
  const entries = await database.entriesAfter("", "", 1_000_000);
  await database.write(
    "kept",
    entries.map(([key]) => del(key)),
  );
}

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

  test("gives what is read together as it was at one moment, while it is being written", async () => {
    const database = await place()();
    const prefix = own();
    const keys = Array.from({ length: 40 }, (_, at) => `${prefix}${at}`);
    const written = async (round: number): Promise<void> =>
      await database.write(
        "kept",
        keys.map((key) => put(key, `${round}`)),
      );
    await written(0);
    for (let round = 1; round <= 100; round++) {
      const writing = written(round);
      // Without a turn of the loop in between, while another thread or process writes.
      for (let read = 0; read < 10; read++) expect(new Set(await database.getMany(keys)).size).toBe(1);
      await writing;
      expect(await database.getMany(keys)).toEqual(keys.map(() => `${round}`));
    }
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
      replaced: option(
        record({
          ...{ key, isStale: boolean() },
          value: option(string({ unit: "grapheme" }).map(withoutNul), { nil: undefined }),
        }),
        { nil: undefined },
      ),
    });
    await assert(
      asyncProperty(array(write, { maxLength: 8 }), async (writes) => {
        const prefix = own();
        const model = new Map<string, string>();
        for (const { durability, operations, replaced } of writes) {
          const others = operations
            .filter((one) => one.key !== replaced?.key)
            .map((one) => ({ ...one, key: prefix + one.key }));
          const there = replaced && model.get(prefix + replaced.key);
          const all: Operation[] = [...others];
          if (replaced !== undefined) {
            const before = replaced.isStale ? `${there} no more` : there;
            const value = replaced.value ?? (before === undefined ? "" : undefined);
            all.unshift(replace(prefix + replaced.key, before, value));
          }
          const writing = database.write(durability, all);
          if (replaced?.isStale === true) {
            await expect(writing).rejects.toThrow(ConflictError);
            continue;
          }
          await writing;
          for (const one of all) {
            if (one.type === "del" || one.value === undefined) model.delete(one.key);
            else model.set(one.key, one.value);
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
      ).rejects.toThrow(ConflictError);
    }
    await database.write("acknowledged", [replace(key, "one", "two"), del(`${prefix}none`)]);
    expect(await database.entries(prefix)).toEqual([
      [key, "two"],
      [`${prefix}x`, "1"],
    ]);
    await database.close();
  });

  test("fails a kept write that replaces what is no more there alone, and none that is written at the same time", async () => {
    const database = await place()();
    const prefix = own();
    const [a, b, c] = [`${prefix}a`, `${prefix}b`, `${prefix}c`];
    await database.write("kept", [put(a, "1"), put(b, "1"), put(`${prefix}old`, "1")]);
    const results = await Promise.allSettled([
      database.write("kept", [replace(a, "1", "2"), put(`${a} beside`, "x"), del(`${prefix}old`)]),
      database.write("kept", [put(c, "now")]),
      database.write("kept", [replace(b, "stale", "3"), put(`${b} beside`, "x"), del(a)]),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "fulfilled", "rejected"]);
    expect(results[2]).toMatchObject({ reason: expect.any(ConflictError) as ConflictError });
    expect(await database.entries(prefix)).toEqual([
      [a, "2"],
      [`${a} beside`, "x"],
      [b, "1"],
      [c, "now"],
    ]);
    await database.close();
  });

  test("lets one of many replace the same at one moment, however durable", async () => {
    const database = await place()();
    const key = `${own()}head`;
    for (let round = 0; round < 10; round++) {
      const before = await database.get(key);
      const results = await Promise.allSettled(
        Array.from({ length: 8 }, (_, i) => {
          const value = `${round}:${i}`;
          const operations = [replace(key, before, value), put(`${key}:${value}`, "beside")];
          return database.write(i % 2 === 0 ? "kept" : "acknowledged", operations);
        }),
      );
      const winners = results.flatMap(({ status }, i) => (status === "fulfilled" ? [`${round}:${i}`] : []));
      expect(winners).toEqual([await database.get(key)]);
      expect(await database.entries(`${key}:${round}:`)).toEqual([[`${key}:${winners[0]}`, "beside"]]);
    }
    await database.close();
  });

  test("counts as a failure of the store what the store could not do, and neither a conflict nor a turn's own no", async () => {
    const failures: string[] = [];
    const database = new ObservedDatabase(await place()(), (work, _ms, failed) => {
      if (failed) failures.push(work);
    });
    const key = own();
    await database.write("kept", [put(key, "1")]);
    await expect(database.write("kept", [replace(key, "2", "3")])).rejects.toThrow(ConflictError);
    const conflicting = database.exclusively(() => database.write("acknowledged", [replace(key, "2", "3")]));
    await expect(conflicting).rejects.toThrow(ConflictError);
    const no = new DeniedError("E_NAME_TAKEN", "It is taken.");
    // That of another disk as well, or of somebody else's queue.
    const full = new UnavailableError("E_STORAGE", "The audit takes no lines.");
    const busy = new UnavailableError("E_BUSY", "Too much waits elsewhere.");
    for (const error of [no, full, busy]) {
      await expect(database.exclusively(() => Promise.reject(error))).rejects.toBe(error);
    }
    expect(failures).toEqual([]);
    await database.close();
    await expect(database.get(key)).rejects.toMatchObject({ code: "E_STORAGE" });
    expect(failures).toEqual(["read"]);
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

  test("is exported as it was at one moment, and imported into what is empty alone", async () => {
    const open = place();
    const database = await open();
    await clear(database);
    const many = Array.from({ length: 2500 }, (_, i) => `name:${String(i).padStart(4, "0")}`);
    const entries = many.map((key) => [key, "before"]);
    await database.write("acknowledged", [...many.map((key) => put(key, "before")), put("log:checkpoint", "one")]);
    const lines: string[] = [];
    for await (const some of exportStore(database)) {
      lines.push(...some.trimEnd().split("\n"));
      // Whatever is written meanwhile.
      await database.write("acknowledged", [
        put("log:checkpoint", "two"),
        del("name:2400"),
        put("name:2401", "after"),
        put("zzz:1", "new"),
      ]);
    }
    expect(lines.slice(1, -1).map((line) => JSON.parse(line) as unknown)).toEqual([
      ["log:checkpoint", "one"],
      ...entries,
    ]);
    await expect(importStore(database, toLines(lines))).rejects.toMatchObject({ code: "E_USAGE" });
    await database.write("acknowledged", [del("log:checkpoint")]);
    await expect(importStore(database, toLines(lines))).rejects.toMatchObject({ code: "E_USAGE" });
    await clear(database);
    const other = ["name:left", "of another store"];
    const short = [...lines.slice(0, 2), JSON.stringify(other)];
    await expect(importStore(database, toLines(short))).rejects.toMatchObject({ code: "E_PROTOCOL" });
    expect(await importStore(database, toLines(lines))).toBe(2501);
    expect(await database.entriesAfter("", "", 1_000_000)).toEqual([["log:checkpoint", "one"], ...entries]);
    await database.close();
  });

  test("is exported with a row of each table, but for those that are of use to a running directory alone", async () => {
    const open = place();
    const database = await open();
    await clear(database);
    const rows = [...TABLES, ...LOG_TABLES]
      .map(({ prefix }): [string, string] => [`${prefix}one`, `"of ${prefix}"`])
      .concat([[LOG_CHECKPOINT, "checkpoint"]], [["log:cosigned", "cosigned"]]);
    await database.write(
      "acknowledged",
      rows.map(([key, value]) => put(key, value)),
    );
    const lines: string[] = [];
    for await (const some of exportStore(database)) lines.push(...some.trimEnd().split("\n"));
    await clear(database);
    await importStore(database, toLines(lines));
    const fleeting = ["id:one", "nonce:one", "presence:one", "distances:one"];
    const lasting = rows.filter(([key]) => !fleeting.includes(key));
    expect(lasting).toHaveLength(rows.length - fleeting.length);
    const sorted = lasting.toSorted(([a], [b]) => (a < b ? -1 : 1));
    expect(await database.entriesAfter("", "", 1_000_000)).toEqual(sorted);
    await clear(database);
    await database.close();
  });

  test("is filled by one of two imports at once, whole, and the other one says so", async () => {
    const database = await place()();
    await clear(database);
    const store = (owner: string, count: number): string[] => [
      JSON.stringify({ v: 1, kind: "sshnp-store" }),
      JSON.stringify(["log:checkpoint", owner]),
      ...Array.from({ length: count }, (_, i) => JSON.stringify([`name:${owner}${i}`, "x"])),
      JSON.stringify({ entries: count + 1 }),
    ];
    async function* interrupted(): AsyncGenerator<string, void, void> {
      const lines = store("one", 1500);
      yield* lines.slice(0, 1200);
      expect(await importStore(database, toLines(store("two", 3)))).toBe(4);
      yield* lines.slice(1200);
    }
    await expect(importStore(database, interrupted())).rejects.toMatchObject({ code: "E_USAGE" });
    const entries = await database.entriesAfter("", "", 1_000_000);
    expect(entries.map(([key]) => key)).toEqual(["log:checkpoint", "name:two0", "name:two1", "name:two2"]);
    await clear(database);
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

test("a process that hangs in its turn loses it, and what it then writes is not taken", async () => {
  const [hanging, other] = [await PostgresDatabase.open(postgres.url), await PostgresDatabase.open(postgres.url)];
  const key = randomUUID();
  let goOn = (): void => {};
  let hung: Promise<void> | undefined;
  await new Promise<void>((hasTurn) => {
    hung = hanging.exclusively(async () => {
      hasTurn();
      await new Promise<void>((resolve) => (goOn = resolve));
      await hanging.write("acknowledged", [put(key, "late")]);
    });
  });
  await other.exclusively(() => other.write("acknowledged", [put(key, "in time")])); // it waits for the database to end the first
  goOn();
  await expect(hung).rejects.toMatchObject({ code: "E_STORAGE" });
  expect(await other.get(key)).toBe("in time");
  await Promise.all([hanging.close(), other.close()]);
}, 60_000);

test("counts as a failure of the store a turn that the database ends, and what finds too many waiting for theirs", async () => {
  const failures: string[] = [];
  const url = await databaseIn(postgres.serverUrl);
  const database = new ObservedDatabase(await PostgresDatabase.open(url), (work, _ms, failed) => {
    if (failed) failures.push(work);
  });
  let end = (): void => {};
  const first = database.exclusively(async () => {
    await new Promise<void>((resolve) => (end = resolve));
    const ours = `datname = '${new URL(url).pathname.slice(1)}' AND state = 'idle in transaction'`;
    await postgres.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ${ours}`);
    await database.write("acknowledged", [put("key", "1")]);
  });
  const others = Promise.allSettled(
    Array.from({ length: POSTGRES_TURNS }, () => database.exclusively(() => Promise.resolve())),
  );
  await expect(database.exclusively(() => Promise.resolve())).rejects.toMatchObject({ code: "E_BUSY" });
  expect(failures).toEqual(["turn"]);
  const lost = expect(first).rejects.toMatchObject({ code: "E_STORAGE" });
  await expect.poll(() => (end(), failures)).toContain("acknowledged");
  await lost;
  expect(failures.slice(1, 3)).toEqual(["acknowledged", "turn"]);
  await others;
  await database.close();
});

test("writes that put what others delete wait for each other, and never in a circle", async () => {
  const both = [await PostgresDatabase.open(postgres.url), await PostgresDatabase.open(postgres.url)] as const;
  const prefix = randomUUID();
  const [a, x, y] = [`${prefix}a`, `${prefix}x`, `${prefix}y`];
  await both[0].write("kept", [put(a, "0"), put(x, "0"), put(y, "0")]);
  await using holder = await Holder.of(y);
  const first = both[0].write("kept", [put(x, "1"), put(y, "1"), del(a)]);
  await waitingAre(1);
  const second = both[1].write("kept", [put(a, "2"), del(x)]);
  await waitingAre(2);
  await holder.letGo();
  await Promise.all([first, second]);
  expect(await both[0].entries(prefix)).toEqual([
    [a, "2"],
    [y, "1"],
  ]);
  await Promise.all(both.map((one) => one.close()));
});

test("writes never wait in a circle for what is new, whether they delete something beside it or not", async () => {
  const both = [await PostgresDatabase.open(postgres.url), await PostgresDatabase.open(postgres.url)] as const;
  const prefix = randomUUID();
  const [d, e, n] = [`${prefix}d`, `${prefix}e`, `${prefix}n`];
  await both[0].write("kept", [put(e, "0"), put(n, "0")]);
  await using holder = await Holder.of(n);
  const first = both[0].write("kept", [del(n), put(d, "1"), put(e, "1")]);
  await waitingAre(1);
  const second = both[1].write("kept", [put(d, "2"), put(e, "2")]);
  await waitingAre(2);
  await holder.letGo();
  await Promise.all([first, second]);
  expect(await both[0].entries(prefix)).toEqual([
    [d, "2"],
    [e, "2"],
  ]);
  expect(await postgres.log()).not.toMatch(/deadlock detected/);
  await Promise.all(both.map((one) => one.close()));
});

test("of three writes that wait in a circle for what was new when they began, each is done all the same", async () => {
  const both = [await PostgresDatabase.open(postgres.url), await PostgresDatabase.open(postgres.url)] as const;
  const prefix = randomUUID();
  const [c, d, e] = [`${prefix}c`, `${prefix}d`, `${prefix}e`];
  await both[1].write("kept", [put(e, "0")]);
  await using holder = await Holder.of(c);
  const first = both[0].write("kept", [put(c, "1"), put(d, "1"), put(e, "1")]);
  await waitingAre(1);
  await both[1].write("kept", [put(d, "0")]); // which is new for the first, and not for who comes now
  const second = both[1].write("kept", [put(d, "2"), put(e, "2")]);
  await waitingAre(2);
  await holder.letGo();
  await Promise.all([first, second]);
  expect(await postgres.log()).toMatch(/deadlock detected/);
  const [, ...two] = await both[0].entries(prefix);
  expect([
    [d, "1", e, "1"],
    [d, "2", e, "2"],
  ]).toContainEqual(two.flat());
  await Promise.all(both.map((one) => one.close()));
});

test("a write that replaces something and is not done in time fails alone, and those behind it are done", async () => {
  const database = await PostgresDatabase.open(postgres.url);
  const prefix = randomUUID();
  const key = (at: number): string => `${prefix}${at}`;
  await using holder = await Holder.of(key(0));
  const [late, ...done] = Array.from({ length: 4 }, (_, at) => {
    return database.write("kept", [replace(key(at), undefined, "new")]).catch((error: unknown) => error);
  });
  await waitingAre(1);
  await postgres.sql(`SELECT pg_cancel_backend(pid) ${WAITING}`); // as statement_timeout does
  expect(await late).toMatchObject({ code: "E_STORAGE", cause: { code: "57014" } });
  expect(await Promise.all(done)).toEqual([undefined, undefined, undefined]);
  await holder.letGo();
  expect(await database.entries(prefix)).toEqual([1, 2, 3].map((at) => [key(at), "new"]));
  await database.close();
});

test("writes that replace something are told each as it ends, and once there is no connection those behind it fail as it does", async () => {
  const database = await PostgresDatabase.open(postgres.url);
  const prefix = randomUUID();
  const key = (at: number): string => `${prefix}${at}`;
  await database.write("kept", [put(key(0), "another")]);
  await using holder = await Holder.of(key(2));
  // Of one moment, so they go together.
  const [conflict, done, ...failed] = Array.from({ length: 5 }, (_, at) => {
    return database.write("kept", [replace(key(at), undefined, "new")]).catch((error: unknown) => error);
  });
  expect(await conflict).toBeInstanceOf(ConflictError);
  expect(await done).toBeUndefined();
  await waitingAre(1);
  await postgres.sql(`SELECT pg_terminate_backend(pid) ${WAITING}`);
  const errors = (await Promise.all(failed)) as Error[];
  expect(errors).toEqual(Array.from({ length: 3 }, () => expect.objectContaining({ code: "E_STORAGE" }) as unknown));
  expect(new Set(errors.map(({ cause }) => cause)).size).toBe(1);
  await holder.letGo();
  expect(await database.entries(prefix)).toEqual([
    [key(0), "another"],
    [key(1), "new"],
  ]);
  await database.close();
});

/** Waits until so many statements about entries wait for others. */
async function waitingAre(count: number): Promise<void> {
  await expect.poll(() => postgres.sql(`SELECT count(*) ${WAITING}`)).toBe(`${count}`);
}

const WAITING = "FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%sshnp_entry%'";

/** Has an entry, so that whoever writes it waits. */
class Holder implements AsyncDisposable {
  readonly #client = new Client({ connectionString: postgres.url });

  static async of(key: string): Promise<Holder> {
    const holder = new Holder();
    await holder.#client.connect();
    await holder.#client.query("BEGIN");
    const text = "INSERT INTO sshnp_entry VALUES ($1, '') ON CONFLICT (key) DO UPDATE SET value = ''";
    await holder.#client.query(text, [key]);
    return holder;
  }

  /** Leaves it as it was. */
  async letGo(): Promise<void> {
    await this.#client.query("ROLLBACK");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}

test("what a directory says of itself last is what stands, though a connection is lost behind which it waited to say another thing", async () => {
  const database = await PostgresDatabase.open(postgres.url);
  const key = randomUUID();
  const name = key.replaceAll("-", "");
  let isAtBroker = true;
  const services = { shared: database.shared, clock: SYSTEM_CLOCK, isAtBroker: () => isAtBroker };
  const leases = new Leases(services, name, () => {});
  await using holder = await Holder.of(key);
  const blocked = database.write("kept", [put(key, "")]);
  await waitingAre(1);
  const older = leases.renew();
  const newer = blocked.catch(async () => {
    isAtBroker = false;
    await leases.renew();
  });
  await postgres.sql(`SELECT pg_cancel_backend(pid) ${WAITING}`);
  await Promise.all([older, newer]);
  const said = async (what: string): Promise<string> =>
    await postgres.sql(
      `SELECT ${what} FROM sshnp_replica WHERE id = '${name}'`,
      new URL(postgres.url).pathname.slice(1),
    );
  expect(await said("at_broker")).toBe("f");
  const late = leases.renew();
  await leases.leave();
  await late;
  expect(await said("count(*)")).toBe("0");
  await holder.letGo();
  await database.close();
});

test("of two processes that have read that there is nothing, one puts something there, with all beside it", async () => {
  const both = [await PostgresDatabase.open(postgres.url), await PostgresDatabase.open(postgres.url)];
  const key = randomUUID();
  const results = await Promise.allSettled(
    both.map((one, i) => one.write("acknowledged", [replace(key, undefined, `${i}`), put(`${key}${i}`, "beside")])),
  );
  expect(results.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  const winner = results.findIndex(({ status }) => status === "fulfilled");
  expect(await both[0]?.entries(key)).toEqual([
    [key, `${winner}`],
    [`${key}${winner}`, "beside"],
  ]);
  await Promise.all(both.map((one) => one.close()));
});

test("a message that goes with a turn is heard when what the turn writes is there, and not when it writes nothing", async () => {
  const url = await databaseIn(postgres.serverUrl);
  const [one, other] = [await PostgresDatabase.open(url), await PostgresDatabase.open(url)];
  const stop = new AbortController();
  const heard: string[] = [];
  let listening: Promise<void> | undefined;
  await new Promise<void>((resolve) => {
    const message = (bytes: Uint8Array) => void other.get("written").then((text) => heard.push(`${bytes[0]} ${text}`));
    listening = other.shared.listen("0a", { message, listening: resolve, failed: () => {} }, stop.signal);
  });
  const turn = one.exclusively(async () => {
    one.shared.sendWithTurn("all", new Uint8Array([1]));
    throw new Error("it writes nothing");
  });
  await expect(turn).rejects.toThrow("it writes nothing");
  await one.exclusively(async () => {
    one.shared.sendWithTurn("all", new Uint8Array([2]));
    await expect(one.write("acknowledged", [replace("none", "something", "else")])).rejects.toThrow("changed");
  });
  await one.exclusively(async () => {
    one.shared.sendWithTurn("all", new Uint8Array(40_000).fill(3));
    await one.write("acknowledged", [put("written", "there")]);
  });
  await expect.poll(() => heard).toEqual(["3 there"]);
  stop.abort();
  await listening;
  await Promise.all([one.close(), other.close()]);
});

test("tables of a newer version are refused, and those of none are made by one of many at once", async () => {
  const url = await databaseIn(postgres.serverUrl);
  const all = await Promise.all(Array.from({ length: 4 }, () => PostgresDatabase.open(url)));
  await Promise.all(all.map((one) => one.close()));
  await postgres.sql("INSERT INTO sshnp_schema VALUES (1000, now())", nameOf(url));
  await expect(PostgresDatabase.open(url)).rejects.toMatchObject({
    code: "E_STORAGE",
    message: expect.stringContaining("schema 1000") as string,
  });
});

test("tables of the first version come to the newest with their rows, each step once", async () => {
  const url = await databaseOfFirstVersion();
  const far = "now() + interval '1 hour'";
  await postgres.sql(
    `INSERT INTO sshnp_entry VALUES ('name:@acme', 'kept'), ('name:@zeta', 'kept too');
     INSERT INTO sshnp_claim VALUES ('taken', 2000);
     INSERT INTO sshnp_replica VALUES ('0a', ${far})`,
    nameOf(url),
  );
  for (const _ of ["first", "second"]) {
    const database = await PostgresDatabase.open(url);
    expect(await database.entriesAfter("", "", 10)).toEqual([
      ["name:@acme", "kept"],
      ["name:@zeta", "kept too"],
    ]);
    expect(await database.claim("taken", 3000, 1500)).toBe(false);
    expect(await database.shared.renew("0b", 60_000, true)).toEqual({
      alive: new Set(["0a", "0b"]),
      atBroker: new Set(["0b"]),
    });
    await database.close();
  }
  const versions = await postgres.sql("SELECT version FROM sshnp_schema ORDER BY version", nameOf(url));
  expect(versions.split("\n").map(Number)).toEqual(MIGRATIONS.map((_, step) => step + 1));
});

test("a directory of the first version that runs goes on beside one of the newest, on whose tables it does not start again", async () => {
  const url = await databaseOfFirstVersion();
  await using older = await FirstVersion.at(url);
  expect(await older.renew("0a")).toEqual(["0a"]);
  await older.put("name:@before", "older");
  const database = await PostgresDatabase.open(url);
  expect(await database.shared.renew("0b", 60_000, true)).toEqual({
    alive: new Set(["0a", "0b"]),
    atBroker: new Set(["0b"]),
  });
  expect((await older.renew("0a")).sort()).toEqual(["0a", "0b"]);
  expect(await older.renew("0c")).toContain("0c");
  expect((await database.shared.renew("0b", 60_000, false)).alive).toEqual(new Set(["0a", "0b", "0c"]));
  await older.put("name:@before", "older again");
  await older.put("name:@after", "older");
  await database.write("kept", [put("name:@newer", "newer")]);
  expect(await older.entries()).toEqual(await database.entries("name:"));
  expect(await database.entries("name:")).toEqual([
    ["name:@after", "older"],
    ["name:@before", "older again"],
    ["name:@newer", "newer"],
  ]);
  expect(await older.claim("key")).toBe(true);
  expect(await database.claim("key", 3000, 1500)).toBe(false);
  expect(await older.version()).toBeGreaterThan(1); // by which its program refuses to start
  await database.close();
});

/** A database with the tables as the first version made them. */
async function databaseOfFirstVersion(): Promise<string> {
  const url = await databaseIn(postgres.serverUrl);
  await postgres.sql(
    `CREATE TABLE sshnp_schema (version integer PRIMARY KEY, applied timestamptz NOT NULL);
     CREATE TABLE sshnp_entry (key text COLLATE "C" PRIMARY KEY, value text NOT NULL);
     CREATE TABLE sshnp_claim (key text COLLATE "C" PRIMARY KEY, until bigint NOT NULL);
     CREATE INDEX sshnp_claim_until ON sshnp_claim (until);
     CREATE TABLE sshnp_replica (id text COLLATE "C" PRIMARY KEY, until timestamptz NOT NULL);
     INSERT INTO sshnp_schema VALUES (1, now())`,
    nameOf(url),
  );
  return url;
}

/** The statements of a directory of the first version, prepared on a connection that it keeps. */
class FirstVersion implements AsyncDisposable {
  readonly #client: Client;

  private constructor(url: string) {
    this.#client = new Client({ connectionString: url });
  }

  static async at(url: string): Promise<FirstVersion> {
    const older = new FirstVersion(url);
    await older.#client.connect();
    return older;
  }

  async renew(id: string): Promise<string[]> {
    const text = `WITH gone AS (DELETE FROM sshnp_replica WHERE until < now() AND id <> $1), renewed AS (
        INSERT INTO sshnp_replica VALUES ($1, now() + $2 * interval '1 millisecond')
        ON CONFLICT (id) DO UPDATE SET until = excluded.until)
      SELECT id FROM sshnp_replica WHERE until >= now()`;
    const { rows } = await this.#client.query<{ id: string }>({ name: "sshnp_renew", text, values: [id, 60_000] });
    return [...new Set(rows.map((row) => row.id).concat(id))];
  }

  async put(key: string, value: string): Promise<void> {
    const text = `WITH locked AS (SELECT key FROM sshnp_entry WHERE key = ANY($4::text[]) ORDER BY key FOR UPDATE),
      gone AS (DELETE FROM sshnp_entry WHERE key = ANY($1::text[]) AND (SELECT count(*) FROM locked) >= 0)
      INSERT INTO sshnp_entry SELECT * FROM unnest($2::text[], $3::text[]) AS put (key, value)
      WHERE (SELECT count(*) FROM locked) >= 0
      ORDER BY key COLLATE "C" ON CONFLICT (key) DO UPDATE SET value = excluded.value`;
    await this.#client.query({ name: "sshnp_write", text, values: [[], [key], [value], [key]] });
  }

  async claim(key: string): Promise<boolean> {
    const text = `INSERT INTO sshnp_claim AS known
      SELECT * FROM unnest($1::text[], $2::bigint[]) AS asked (key, until) ORDER BY key COLLATE "C"
      ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE known.until < $3::bigint
      RETURNING key`;
    const { rowCount } = await this.#client.query({ name: "sshnp_claim", text, values: [[key], [2000], 1000] });
    return rowCount === 1;
  }

  async entries(): Promise<[string, string][]> {
    const text = "SELECT key, value FROM sshnp_entry WHERE key >= $1 AND key < $2 ORDER BY key LIMIT $3";
    const values = ["name:", "name:\u{10ffff}", undefined];
    const { rows } = await this.#client.query<[string, string]>({ text, values, rowMode: "array" });
    return rows;
  }

  async version(): Promise<number> {
    const { rows } = await this.#client.query<{ version: number }>("SELECT max(version) AS version FROM sshnp_schema");
    return rows[0]?.version ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end();
  }
}

function nameOf(url: string): string {
  return new URL(url).pathname.slice(1);
}

function withoutNul(text: string): string {
  return text.replaceAll("\0", "");
}

async function* toLines(lines: readonly string[]): AsyncGenerator<string, void, void> {
  yield* lines;
}
