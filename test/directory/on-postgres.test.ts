import { afterAll, beforeAll, describe } from "vitest";
import { Postgres } from "../support/postgres.ts";

/** What the directory does is the same whatever its store is. What these say of a store's own files is not repeated here. */
const SUITES = ["activation", "session", "wait", "link", "watching", "rendezvous"];

let postgres: Postgres;
beforeAll(async () => {
  postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
}, 60_000);
afterAll(async () => {
  await postgres[Symbol.asyncDispose]();
});

describe.each(SUITES)("%s", async (suite) => {
  await import(`./${suite}.test.ts`);
});
