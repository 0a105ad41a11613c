import { Writable } from "node:stream";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { BrokerLinks } from "../../directory/broker-links.ts";
import { openBrokerLink, putStatements } from "../../directory/client.ts";
import { type BrokerConnection, connectBroker } from "../../directory/client/broker.ts";
import { parseEntry, WAKES } from "../../directory/tables.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { type MemberName, type Name, parseName } from "../../keys/names.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { directoryTopic } from "../../protocol/broker-topics.ts";
import {
  BROKER_DEVICE_HELLOS_BURST,
  BROKER_DEVICE_HELLOS_PER_SECOND,
  BROKER_FAILURES_MS,
  BROKER_REFUSALS_BURST,
  KEEPALIVE_MS,
  LINK_MESSAGES_BURST,
  LINK_MESSAGES_PER_SECOND,
} from "../../protocol/limits.ts";
import { encodeBrokerHello } from "../../protocol/messages/broker.ts";
import { encodeLinkWatching } from "../../protocol/messages/link.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { type Freshness, sealMessage } from "../../protocol/sealed-message.ts";
import { revocation } from "../support/later-statements.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { next, only, send } from "./streams.ts";
import { NO_POLICY, patience, type Person, random, sessionMessage, suite, TestClock, World } from "./world.ts";

/* Whoever may publish at a broker can say there whatever he likes, as often as he likes, under any name. */

let broker: Mosquitto;
let clock: TestClock;
let world: World;
let device: Person;
let stranger: BrokerConnection;
let lines: string[];
/** What was counted as turned away. */
let turnedAway: string[];

beforeAll(async () => {
  broker = await startMosquitto({ isQuiet: true });
});
afterAll(() => broker[Symbol.asyncDispose]());
beforeEach(async () => {
  lines = [];
  turnedAway = [];
  const observer = {
    ...{ took: () => {}, ended: () => {}, linkRefused: () => {} },
    turnedAway: (why: string) => void turnedAway.push(why),
  };
  const kept = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(...chunk.toString().split("\n"));
      done();
    },
  });
  clock = new TestClock();
  world = await World.start({ broker: { url: new URL(broker.url) }, clock, log: pino(kept), observer });
  while (world.directory.waking?.isConnected !== true) await new Promise(setImmediate);
  device = await world.activated("@device", "mygateway", "device");
  stranger = await connectBroker({
    ...{ place: { url: new URL(broker.url) }, clientId: "stranger", topics: ["x"], keepaliveSeconds: 60 },
    ...{ onMessage: () => {}, limitMs: 20_000, signal: patience() },
  });
});
afterEach(async () => {
  vi.restoreAllMocks();
  stranger.close();
  await world[Symbol.asyncDispose]();
});

test("a device that was refused is forgotten once it may be refused as often as before", async () => {
  const { waking } = world.directory;
  await publish([hello(device.x25519, device, { kind: "time", time: 0 })]);
  await expect.poll(() => waking?.limited).toBe(2); // as one who says hello, and as one who is refused
  expect(turnedAway).toEqual([]);
  const more = Array.from({ length: 2 * BROKER_REFUSALS_BURST }, () =>
    hello(device.x25519, device, { kind: "time", time: 0 }),
  );
  await publish(more);
  await expect.poll(() => new Set(turnedAway)).toEqual(new Set(["broker rate"]));
  clock.leap(KEEPALIVE_MS);
  expect(waking?.limited).toBe(0);
});

test("a hello is noted for later only where its sender is known, and while the store fails there are few lines for many of them", async () => {
  const { store } = world;
  const looked: string[] = [];
  const get = store.database.get.bind(store.database);
  vi.spyOn(store.database, "get").mockImplementation(async (key) => {
    looked.push(key);
    return await get(key);
  });
  const holder = vi
    .spyOn(store, "keyHolder")
    .mockRejectedValue(new UnavailableError("E_STORAGE", "The store cannot be read."));
  const started = performance.now();
  const invented = Array.from({ length: 100 }, (_, i) => ({ name: parseName(`@ghost${i}`), member: device.member }));
  await publish(invented.map((ghost) => hello(device.x25519, ghost)));
  await expect.poll(() => holder.mock.calls.length).toBe(invented.length);
  holder.mockRestore();
  // One that is known fails after that, and is asked in its turn.
  vi.spyOn(store, "member").mockRejectedValueOnce(new UnavailableError("E_STORAGE", "The store cannot be read."));
  await publish([hello(device.x25519, device)]);
  await expect.poll(() => looked).toContain(`wake:${device.name}/${device.member}`);
  expect(looked.filter((key) => key.startsWith("wake:@ghost"))).toEqual([]);
  const failures = lines.filter((line) => line.includes("cannot be told"));
  expect(failures.length).toBeGreaterThan(0);
  expect(failures.length).toBeLessThanOrEqual(1 + (performance.now() - started) / BROKER_FAILURES_MS);
});

test("the devices at a broker are left to themselves only once who is being asked to say hello has been", async () => {
  const { database } = world.store;
  const row = `${WAKES.prefix}${device.name}/${device.member}`;
  await publish([hello(device.x25519, device)]);
  const told = async (): Promise<number> => {
    const text = await database.get(row);
    return text === undefined ? 0 : parseEntry(WAKES, text).sent;
  };
  while ((await told()) < 2) await new Promise(setImmediate); // a welcome, and its own statements
  // It is to be asked, as it could not be told something, and the store takes its time for that.
  const write = database.write.bind(database);
  const done: string[] = [];
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  let writes = 0;
  vi.spyOn(database, "write").mockImplementation(async (durability, operations) => {
    if (operations.some(({ key }) => key === row)) {
      if (writes++ === 0) throw new UnavailableError("E_STORAGE", "The store cannot be written.");
      await released;
      await write(durability, operations);
      return void done.push("asked");
    }
    await write(durability, operations);
  });
  await putStatements(world.client(), device.x25519, [revocation(device.owner, device.binding)], {
    signal: patience(),
  });
  await expect.poll(() => writes).toBe(2);
  const waking = world.directory.waking as BrokerLinks;
  const ended = waking[Symbol.asyncDispose]().then(() => done.push("ended"));
  while (waking.isConnected) await new Promise(setImmediate);
  await new Promise(setImmediate);
  release();
  await ended;
  expect(done).toEqual(["asked", "ended"]);
});

test("a device that says hello, or whom it watches, without end is heard so often and no more, and keeps no other one from being asked", async () => {
  const { database } = world.store;
  const read: string[] = [];
  const written: string[] = [];
  const [get, write] = [database.get.bind(database), database.write.bind(database)];
  vi.spyOn(database, "get").mockImplementation(async (key) => {
    read.push(key);
    return await get(key);
  });
  vi.spyOn(database, "write").mockImplementation(async (durability, operations) => {
    for (const { key, type } of operations) if (type === "replace") written.push(key);
    await write(durability, operations);
  });
  const client = await world.activated("@client", "laptop", "client");
  const other = await world.activated("@other", "mygateway", "device");
  await world.rendezvous();
  const { name, member, x25519: sender } = other;
  const link = await openBrokerLink({
    ...{ client: world.client(), sender, broker: { url: new URL(broker.url) }, signal: patience() },
    hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
  });
  const row = `${WAKES.prefix}${device.name}/${device.member}`;
  const started = clock.monotonic();
  const hellos = Array.from({ length: 300 }, () => hello(device.x25519, device));
  const lists = Array.from({ length: 600 }, () => sealed(device.x25519, LINK.watching, encodeLinkWatching([client])));
  await publish([...hellos, ...lists]);
  const message = sessionMessage(client, other);
  const frames = send(world, client, message);
  await next(frames, "ticket");
  for await (const { type } of link.events) if (type === "notify") break;
  link.answer({ sid: message.sid, message2: random(100) });
  expect(await only(frames)).toMatchObject({ type: "answer" }); // it came after all those, and they were taken in by then
  const seconds = (clock.monotonic() - started) / 1000;
  const mostHellos = BROKER_DEVICE_HELLOS_BURST + seconds * BROKER_DEVICE_HELLOS_PER_SECOND + 1;
  const mostLists = LINK_MESSAGES_BURST + seconds * LINK_MESSAGES_PER_SECOND + 1;
  // Of a hello: its welcome, its own statements, and room for a turn that was run again.
  expect(written.filter((key) => key === row).length).toBeLessThanOrEqual(3 * mostHellos);
  expect(read.filter((key) => key === row).length).toBeLessThanOrEqual(5 * mostHellos + mostLists);
  expect(read.filter((key) => key === row).length).toBeGreaterThanOrEqual(LINK_MESSAGES_BURST);
  const passedOver = hellos.length + lists.length - Math.floor(mostHellos + mostLists);
  await expect.poll(() => turnedAway.length).toBeGreaterThanOrEqual(passedOver);
  expect(passedOver).toBeGreaterThan(0);
  expect(new Set(turnedAway)).toEqual(new Set(["broker rate"]));
  link.close();
  clock.leap(KEEPALIVE_MS);
  clock.leap(KEEPALIVE_MS);
  expect(world.directory.waking?.limited).toBe(0);
});

function hello(
  sender: X25519PrivateKey,
  { name, member }: { readonly name: Name; readonly member: MemberName },
  freshness: Freshness = { kind: "time", time: clock.now() },
): Buffer {
  const said = { ...{ name, member, epoch: random(16), version: "0.1.0", names: [] }, policyHash: NO_POLICY };
  const body = encodeBrokerHello({ ...said, checkpointSize: 0, connection: random(16) });
  return sealed(sender, LINK.brokerHello, body, freshness);
}

function sealed(
  sender: X25519PrivateKey,
  type: number,
  body: Uint8Array,
  freshness: Freshness = { kind: "nonce", nonce: random(16) },
): Buffer {
  const [key] = world.directory.keyring.sealing(clock.now());
  if (key === undefined) throw new Error("no key");
  const content = { freshness, id: random(16), type, body };
  return Buffer.from(sealMessage(suite, random, { sender, recipient: key.publicKey }, content).bytes);
}

async function publish(payloads: readonly Buffer[]): Promise<void> {
  const uplink = directoryTopic(suite, world.address.fingerprint);
  await Promise.all(payloads.map((payload) => stranger.publish(uplink, payload)));
}
