import { EventEmitter, once, setMaxListeners } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { AskAgainError, openLink } from "../../directory/client.ts";
import { SYSTEM_CLOCK } from "../../directory/clock.ts";
import { upgrade } from "../../directory/link-upgrade.ts";
import { AddressLimiter } from "../../directory/rate-limit.ts";
import { BUSY_MS, MESSAGES_AT_ONCE, RETURN_SLOT_MS } from "../../protocol/limits.ts";
import { TestLink } from "./streams.ts";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { patience, random, NO_POLICY, World } from "./world.ts";

test("a directory that works at as many messages as it may tells the next one when to come back, unread, and counts it", async () => {
  const failed: string[] = [];
  const turnedAway: string[] = [];
  const observer = {
    ...{ took: () => {}, linkRefused: () => {} },
    ended: (code: string) => void failed.push(code),
    turnedAway: (why: string) => void turnedAway.push(why),
  };
  await using world = await World.start({ maxConnections: 4 * MESSAGES_AT_ONCE, observer }); // a fourth of them strangers
  const person = await world.activated("@device", "mygateway", "device");
  const client = world.client();
  await client.keyList({ signal: patience() });
  const disk = new EventEmitter().setMaxListeners(0);
  const { store } = world;
  const read = store.keyHolder.bind(store);
  store.keyHolder = async (key) => {
    await once(disk, "works");
    return await read(key);
  };
  const signal = AbortSignal.timeout(50_000);
  setMaxListeners(0, signal);
  const ask = () =>
    client.request(person.x25519, { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) }, { signal });
  const all = Array.from({ length: MESSAGES_AT_ONCE }, ask);
  await expect.poll(() => world.directory.posts.open).toBe(MESSAGES_AT_ONCE);
  const refused = await ask().catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(AskAgainError);
  expect(refused).toMatchObject({ code: "E_BUSY", wait: BUSY_MS });
  expect(failed).toEqual(["E_BUSY"]);
  expect(turnedAway).toEqual(["messages"]);
  expect(world.directory.posts.open).toBe(MESSAGES_AT_ONCE);
  store.keyHolder = read;
  disk.emit("works");
  expect((await Promise.all(all)).every(({ type }) => type === "done")).toBe(true);
  expect(await ask()).toMatchObject({ type: "done" });
});

test.each([
  ["there are too many hellos", { perSecond: 1, burst: 1 }, 7_100, { code: "E_BUSY", wait: 8_000 }, "hellos"],
  [
    "an address has too many links",
    { perSecond: 0.25, burst: 0 },
    undefined,
    { code: "E_RATE", wait: expect.any(Number) },
    "address rate",
  ],
])("a device learns when to come back where %s", async (_why, rate, wait, error, counted) => {
  await using world = await World.start();
  const device = await world.activated("@device", "mygateway", "device");
  const client = world.client();
  const keyList = await client.keyList({ signal: patience() });
  const turnedAway: string[] = [];
  const routes = {
    observer: { turnedAway: (why: string) => void turnedAway.push(why) },
    links: {
      accept: () => expect.unreachable("it is not to be let in"),
      turnAway: () => wait,
    },
    limiter: new AddressLimiter(rate, rate),
    clock: SYSTEM_CLOCK,
  };
  const server = createServer().on("upgrade", (request, socket, head) => upgrade(request, socket, head, routes));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const busy = world.client({ address: { ...world.address, url }, keyList });
  const { name, member, x25519: sender } = device;
  const hello = { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY };
  const told = await openLink({ client: busy, sender, hello, signal: patience() }).catch((cause: unknown) => cause);
  expect(told).toBeInstanceOf(AskAgainError);
  expect(told).toMatchObject(error);
  expect((told as AskAgainError).wait).toBeGreaterThan(0);
  expect((told as AskAgainError).wait).toBeLessThanOrEqual(8_000);
  expect(turnedAway).toEqual([counted]);
  server.close();
});

test("a directory that is stopped tells each device a slot of its own", async () => {
  await using world = await World.start();
  const links: TestLink[] = [];
  for (let i = 0; i < 5; i++) {
    links.push(await TestLink.open(world, await world.activated(`@device${i}`, "mygateway", "device")));
  }
  await world.pause();
  const ends = await Promise.all(links.map((link) => link.end()));
  expect(ends.every((end) => end instanceof AskAgainError && end.code === "E_DIRECTORY")).toBe(true);
  const waits = ends.map((end) => (end as AskAgainError).wait).sort((a, b) => a - b);
  expect(waits).toEqual([0, 1, 2, 3, 4].map((slot) => slot * RETURN_SLOT_MS));
});
