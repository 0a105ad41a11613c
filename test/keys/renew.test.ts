import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { hex } from "../../keys/bytes.ts";
import { parseName } from "../../keys/names.ts";
import { TestClock, World } from "../directory/world.ts";
import { Machine } from "../support/stack.ts";

const DAY = 24 * 60 * 60_000;

let clock: TestClock;
let world: World;
let laptop: Machine;
beforeAll(async () => {
  clock = new TestClock();
  world = await World.start({ clock });
  laptop = new Machine(join(world.folder.path, "laptop"));
  mkdirSync(laptop.home, { mode: 0o700 });
  await activate("@client");
  await activate("@device", "-d", "mygateway");
});
afterAll(() => world[Symbol.asyncDispose]());

test("a client in its first months is left as it is", async () => {
  expect(await renew()).toContain("No client of @client ends within 30 days.");
});

test("a client whose year is over is told so, and counts again when its owner has renewed it", async () => {
  clock.leap(340 * DAY);
  expect(await renew()).toMatch(/^\S+ of @client counts until \S+ \S+ UTC\.$/m);
  clock.leap(364 * DAY);
  expect(await connect()).toContain("[E_NEVER_SEEN]");
  clock.leap(2 * DAY);
  const refused = await connect();
  expect(refused).toMatch(/The keys of \S+ of @client counted until \S+ \S+ UTC\./);
  expect(refused).toMatch(/sshnp-keys renew @client \S+\s+\[E_STATEMENT\]/);
  await renew();
  expect(await connect()).toContain("[E_NEVER_SEEN]");
});

test("a device does not end, and a revoked client stays revoked", async () => {
  const device = await laptop.run("sshnp-keys", "renew", "@device", "mygateway");
  expect(device).toMatchObject({ code: 2, stderr: expect.stringContaining("mygateway of @device does not end.") });
  const { members } = JSON.parse(await laptop.must("sshnp-keys", "list", "@client", "--json")) as {
    readonly members: readonly [{ readonly member: string }];
  };
  const [{ member }] = members;
  await laptop.must("sshnp-keys", "revoke", "@client", member);
  const revoked = await laptop.run("sshnp-keys", "renew", "@client", member);
  expect(revoked).toMatchObject({ code: 2, stderr: expect.stringContaining("is revoked.") });
  clock.leap(400 * DAY);
  expect(await renew()).toContain("No client of @client");
});

async function activate(name: string, ...words: string[]): Promise<void> {
  const secret = hex((await world.addName(parseName(name))).secretBytes());
  await laptop.must("sshnp-keys", "activate", "-a", name, "-c", secret, "--directory", world.address.text, ...words);
}

/** What the owner is told. */
async function renew(): Promise<string> {
  const { code, stdout, stderr } = await laptop.run("sshnp-keys", "renew", "@client");
  expect({ code, stdout }, stderr).toEqual({ code: 0, stdout: "" });
  return stderr;
}

/** What sshnp says of a device whose daemon was never there. */
async function connect(): Promise<string> {
  return (await laptop.run("sshnp", "@client", "@device", "mygateway", "-F", "none", "true")).stderr;
}
