import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import { DirectoryClient } from "../../directory/client.ts";
import { SshnpError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { type DirectoryAddress, parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { MovableAddress } from "../support/movable-address.ts";
import { Postgres } from "../support/postgres.ts";
import { type RunningProcess, startCommand } from "../support/processes.ts";
import { demandAll } from "./acknowledged.ts";
import { send, TestLink } from "./streams.ts";
import { activate, newPerson, type Person, random, sessionMessage, suite, World } from "./world.ts";

afterEach(() => {
  delete process.env["SSHNP_TEST_POSTGRES"];
});

test("what was acknowledged stands after the server is killed, its connections are cut and its backends are ended", async () => {
  await using postgres = await Postgres.start();
  await using address = await MovableAddress.of(postgres.port);
  process.env["SSHNP_TEST_POSTGRES"] = databaseAt(address);
  await using world = await World.start();
  const { acknowledged } = await activationsThrough(world, [
    async () => {
      await postgres.kill();
      await postgres.resume();
    },
    () => address.cut(),
    async () => {
      await postgres.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sshnp-directory'",
      );
    },
  ]);
  await demandAll(world, acknowledged);
}, 120_000);

test("nothing is acknowledged that a standby which commits wait for has not, and what was stands after it is promoted", async () => {
  await using primary = await Postgres.start();
  await using standby = await Postgres.standbyOf(primary, "second");
  await primary.sql("ALTER SYSTEM SET synchronous_standby_names = 'second'");
  await primary.sql("SELECT pg_reload_conf()");
  await using address = await MovableAddress.of(primary.port);
  process.env["SSHNP_TEST_POSTGRES"] = databaseAt(address);
  await using world = await World.start();
  const person = newPerson(parseName("@meanwhile"), parseMember("m"), "client");
  const secret = await world.addName(person.name);
  standby.freeze();
  const withoutStandby = activate(world.client(), person, secret);
  await expect(withoutStandby).rejects.toMatchObject({ code: "E_STORAGE" });
  standby.thaw();
  const { acknowledged } = await activationsThrough(world, [
    async () => {
      standby.freeze();
      const waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
      await expect.poll(() => primary.sql(waiting)).not.toBe("0");
      await primary.kill();
      await standby.kill(); // with what its sockets hold and it has not read
      await standby.resume();
      await standby.promote();
      address.target = standby.port;
    },
  ]);
  await demandAll(world, acknowledged);
}, 120_000);

test("what a directory has acknowledged stands when it is killed, or stopped in its turn, or its database is stopped, and who is not acknowledged is told", async () => {
  await using postgres = await Postgres.start();
  await postgres.sql("CREATE ROLE killed SUPERUSER LOGIN");
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  await using world = await World.start();
  const home = world.folder.path;
  const store = world.url.replace("postgres@", "killed@");
  const folders = ["--data", join(home, "killed"), "--keys", world.data.path, "--store", store];
  const run = async (port = 0): Promise<{ directory: RunningProcess; address: DirectoryAddress }> => {
    const words = ["run", ...folders, "--listen", `127.0.0.1:${port}`];
    const directory = startCommand("sshnp-directory", words, { env: { HOME: home } });
    const [address = ""] = await directory.line(/^http:.*$/);
    return { directory, address: parseDirectoryAddress(address) };
  };
  let { directory, address } = await run();
  const client = () => new DirectoryClient({ address, suite, random });
  const isInTurn = async (): Promise<boolean> =>
    (await postgres.sql(
      `SELECT count(*) FROM pg_stat_activity JOIN pg_locks USING (pid)
       WHERE usename = 'killed' AND state = 'idle in transaction' AND locktype = 'advisory' AND granted`,
    )) !== "0";
  const isRefused = ({ failed: all }: Attempts, before: number): boolean =>
    all.slice(before).some(({ error }) => error instanceof SshnpError && error.code === "E_STORAGE");
  const { acknowledged, failed } = await activationsThrough(
    world,
    [
      async () => {
        await directory.kill("SIGKILL");
        ({ directory, address } = await run(Number(address.url.port)));
      },
      async (soFar) => {
        const before = soFar.failed.length;
        // The turn may be one that nobody waits for: then once more.
        for (let tries = 0; tries < 3 && !isRefused(soFar, before); tries++) {
          for (;;) {
            process.kill(directory.pid, "SIGSTOP");
            if (await isInTurn()) break;
            process.kill(directory.pid, "SIGCONT");
            await delay(10);
          }
          await expect.poll(isInTurn).toBe(false); // the database has ended it
          soFar.acknowledged.push(await world.activated(`@meanwhile${tries}`, "m", "client"));
          process.kill(directory.pid, "SIGCONT");
          const enough = soFar.acknowledged.length + 8;
          const goesOn = (): boolean => isRefused(soFar, before) || soFar.acknowledged.length >= enough;
          await expect.poll(goesOn, { timeout: 30_000 }).toBe(true);
        }
        expect(isRefused(soFar, before)).toBe(true);
      },
      async (soFar) => {
        const before = soFar.failed.length;
        postgres.freeze();
        await expect.poll(() => isRefused(soFar, before), { timeout: 30_000 }).toBe(true);
        postgres.thaw();
      },
    ],
    client,
  );
  await demandAll(world, acknowledged);
  // Who was not acknowledged was told so, and stands as a whole or not at all.
  for (const { person, error } of failed) {
    expect(error).toMatchObject({ code: expect.stringMatching(/^E_(?:STORAGE|DIRECTORY|BUSY)$/) as string });
    const statements = (await world.store.name(person.name))?.statements ?? [];
    if (statements.length > 0) await demandAll(world, [person]);
  }
}, 180_000);

test("a directory answers E_STORAGE while its database is gone, and as before once it is back", async () => {
  await using postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  await using world = await World.start();
  const before = await world.activated("@before", "m", "client");
  const secret = await world.addName(parseName("@during"));
  const person = newPerson(parseName("@during"), parseMember("m"), "client");
  await postgres.kill();
  await expect(activate(world.client(), person, secret)).rejects.toMatchObject({ code: "E_STORAGE" });
  await postgres.resume();
  await expect
    .poll(() =>
      activate(world.client(), person, secret).then(
        ({ type }) => type,
        () => "refused",
      ),
    )
    .toBe("logged");
  await demandAll(world, [before, person]);
}, 60_000);

test("two directories whose connections are cut while they ask each other's devices go on", async () => {
  await using postgres = await Postgres.start();
  await using address = await MovableAddress.of(postgres.port);
  process.env["SSHNP_TEST_POSTGRES"] = databaseAt(address);
  await using one = await World.start();
  await using other = await World.beside(one);
  const [client, device] = [await one.activated("@c", "m", "client"), await one.activated("@d", "m", "device")];
  await one.rendezvous();
  const over = new AbortController();
  // As sshnpd does, it comes back whenever its link is lost.
  const answering = (async () => {
    while (!over.signal.aborted) {
      try {
        const link = await TestLink.open(other, device, { signal: over.signal });
        for (;;) {
          const { prologue } = await link.notified();
          link.link.answer({ sid: prologue.sid, message2: random(100) });
        }
      } catch {
        // It is lost, or could not be had.
      }
      await delay(20);
    }
  })();
  const ask = async (): Promise<string> => {
    const signal = AbortSignal.timeout(2_000);
    const frames: string[] = [];
    try {
      for await (const { type } of send(one, client, sessionMessage(client, device), signal)) frames.push(type);
    } catch {
      return "failed";
    }
    return frames.at(-1) ?? "nothing";
  };
  await expect.poll(ask).toBe("answer");
  for (let cut = 0; cut < 3; cut++) {
    const asked = Promise.all(Array.from({ length: 8 }, ask));
    await delay(cut * 3);
    address.cut();
    await asked;
  }
  await expect.poll(ask, { timeout: 30_000 }).toBe("answer");
  over.abort();
  await answering;
}, 120_000);

test("a store from an old backup is served by no directory that has seen a newer log", async () => {
  await using postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  await using world = await World.start();
  await world.activated("@kept", "m", "client");
  const database = await postgres.sql("SELECT datname FROM pg_database WHERE datname LIKE 'np_%'");
  await world.pause();
  await postgres.sql(`CREATE DATABASE backup TEMPLATE ${database}`);
  await world.resume();
  await world.activated("@lost", "m", "client");
  await postgres.sql(`DROP DATABASE ${database} WITH (FORCE)`);
  await postgres.sql(`CREATE DATABASE ${database} TEMPLATE backup`);
  const kept = parseName("@kept");
  // It is there, connected anew, and can be written.
  await expect
    .poll(() =>
      world.store.name(kept).then(
        (record) => record?.statements.length,
        () => 0,
      ),
    )
    .toBe(1);
  const person = newPerson(parseName("@after"), parseMember("m"), "client");
  const secret = await world.addName(person.name);
  for (let i = 0; i < 3; i++) {
    await expect(activate(world.client(), person, secret)).rejects.toMatchObject({ code: "E_STORAGE" });
  }
  await expect(world.directory.statementLog.refresh()).rejects.toThrow(
    "an older log than this directory has published",
  );
  await world.pause();
  await expect(world.resume()).rejects.toMatchObject({
    code: "E_LOG",
    next: expect.stringContaining("the database") as string,
  });
  // Nor by one that is new, and shares the folder of the keys with one that has.
  await expect(World.beside(world)).rejects.toMatchObject({ code: "E_LOG" });
}, 60_000);

/** What came of activations while there were faults. */
interface Attempts {
  readonly acknowledged: Person[];
  readonly failed: { readonly person: Person; readonly error: unknown }[];
}

/** Activates names, some at once, while the faults come one after the other; gives those that were acknowledged. */
async function activationsThrough(
  world: World,
  faults: readonly ((soFar: Attempts) => unknown)[],
  client = () => world.client(),
): Promise<Attempts> {
  const attempts: Attempts = { acknowledged: [], failed: [] };
  const { acknowledged, failed } = attempts;
  const over = new AbortController();
  const worker = async (own: number): Promise<void> => {
    for (let i = 0; !over.signal.aborted; i++) {
      const person = newPerson(parseName(`@w${own}-${i}`), parseMember("m"), "client");
      try {
        const secret = await world.addName(person.name);
        if ((await activate(client(), person, secret)).type === "logged") acknowledged.push(person);
      } catch (error) {
        failed.push({ person, error });
        await delay(20); // it is told that it did not succeed, or cannot know
      }
    }
  };
  const workers = Promise.all([0, 1, 2, 3].map(worker));
  for (const fault of [...faults, () => {}]) {
    const before = acknowledged.length;
    const signal = AbortSignal.timeout(60_000);
    while (acknowledged.length < before + 8) {
      signal.throwIfAborted();
      await delay(10);
    }
    await fault(attempts);
  }
  over.abort();
  await workers;
  return attempts;
}

function databaseAt({ port }: MovableAddress): string {
  return `postgres://postgres@127.0.0.1:${port}/postgres`;
}
