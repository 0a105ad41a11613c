import { Client, Pool } from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PostgresDatabase } from "../../directory/postgres/database.ts";
import { SharedDatabase } from "../../directory/postgres/shared.ts";
import { type ReplicaHost, Replicas } from "../../directory/replicas/replicas.ts";
import { POSTGRES_CONNECT_MS } from "../../protocol/limits.ts";
import { Postgres } from "../support/postgres.ts";
import { random, TestClock } from "./world.ts";

let postgres: Postgres;
let pool: Pool;
let other: Replicas;
let database: PostgresDatabase;

beforeAll(async () => {
  postgres = await Postgres.start();
  database = await PostgresDatabase.open(postgres.url);
  pool = new Pool({ connectionString: postgres.url });
  other = new Replicas({
    shared: database.shared,
    database,
    random,
    clock: new TestClock(),
    isAtBroker: () => false,
    failed: () => {},
  });
}, 60_000);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await database.close();
  await pool.end();
  await postgres[Symbol.asyncDispose]();
});

test("a directory has started when it hears the others, however long that takes to begin", async () => {
  const { replicas, heard, connected, letConnect } = scene();
  let hasStarted = false;
  const starting = replicas.start(heard).then(() => (hasStarted = true));
  await connected;
  await new Promise(setImmediate);
  expect(hasStarted).toBe(false);
  letConnect();
  await starting;
  await other.said(["@one"]);
  await expect.poll(() => heard.subjects).toEqual(["@one"]);
  expect(heard.timesMissed).toBe(0);
  await replicas[Symbol.asyncDispose]();
});

test("one that the database keeps waiting starts all the same, and looks for what it has missed when it hears", async () => {
  const { replicas, heard, connected, letConnect, clock } = scene();
  const starting = replicas.start(heard);
  await connected;
  clock.advance(POSTGRES_CONNECT_MS);
  await starting;
  expect(heard.timesMissed).toBe(0);
  letConnect();
  await expect.poll(() => heard.timesMissed).toBe(1);
  await replicas[Symbol.asyncDispose]();
});

test("one that ends before it hears waits no more", async () => {
  const { replicas, heard, connected, letConnect } = scene();
  const starting = replicas.start(heard);
  await connected;
  const ending = replicas[Symbol.asyncDispose]();
  await starting;
  letConnect();
  await ending;
});

/** A directory whose connection for listening is made when the test lets it. */
function scene() {
  let letConnect = (): void => {};
  let connecting = (): void => {};
  const gate = new Promise<void>((resolve) => (letConnect = resolve));
  const connected = new Promise<void>((resolve) => (connecting = resolve));
  const connect = async (): Promise<Client> => {
    connecting();
    await gate;
    const client = new Client({ connectionString: postgres.url });
    await client.connect();
    return client;
  };
  const shared = new SharedDatabase(pool, connect, () => {});
  const clock = new TestClock();
  const replicas = new Replicas({ shared, database, random, clock, isAtBroker: () => false, failed: () => {} });
  return { replicas, heard: new Heard(), connected, letConnect, clock };
}

class Heard implements ReplicaHost {
  readonly subjects: string[] = [];
  timesMissed = 0;

  link(): undefined {}
  answered(): void {}
  unwoken(): void {}
  async gone(): Promise<void> {}
  atBroker(): undefined {}
  async tell(): Promise<boolean> {
    return Promise.resolve(false);
  }
  async probe(): Promise<boolean> {
    return Promise.resolve(false);
  }
  isBack(): void {}
  async isAtBroker(): Promise<void> {}
  async said(subjects: readonly string[]): Promise<void> {
    this.subjects.push(...subjects);
    return Promise.resolve();
  }
  withdraw(): void {}
  lost(): void {}
  taken(): void {}
  async missed(): Promise<void> {
    this.timesMissed += 1;
    return Promise.resolve();
  }
}
