import type { Packet } from "mqtt-packet";
import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { WAKES } from "../../directory/tables.ts";
import type { BrokerLinks } from "../../directory/broker-links.ts";
import { type Link, type LinkEvent, openBrokerLink } from "../../directory/client.ts";
import { hex } from "../../keys/bytes.ts";
import { type Distances, distanceKey } from "../../protocol/messages/rendezvous-distances.ts";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import { revocation } from "../support/later-statements.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { type MqttProxy, startMqttProxy } from "../support/mqtt-proxy.ts";
import { Postgres } from "../support/postgres.ts";
import { next, only, rest, send, TestLink } from "./streams.ts";
import {
  NO_POLICY,
  patience,
  type Person,
  putMessage,
  random,
  sessionMessage,
  type TestRendezvous,
  World,
} from "./world.ts";

/* Two directories on one PostgreSQL, both at the broker at which devices wait. Which of them hears a hello is chance. */

let postgres: Postgres;
let broker: Mosquitto;
/** Between the other directory and the broker. */
let proxy: MqttProxy;
let one: World;
let other: World;
let client: Person;
let device: Person;
let link: Link;
let events: AsyncIterator<LinkEvent>;
let count = 0;

beforeAll(async () => {
  postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  broker = await startMosquitto();
  proxy = await startMqttProxy(broker.port);
  one = await World.start({ broker: { url: new URL(broker.url) } });
  other = await World.beside(one, { broker: { url: new URL(proxy.url) } });
  client = await one.activated("@client", "laptop", "client");
}, 60_000);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await broker[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});
beforeEach(async () => {
  count += 1;
  proxy.mischief = (packet) => [packet];
  device = await one.activated(`@device${count}`, "mygateway", "device");
  await addRendezvous(`rz${count}`);
  const isThere = (): boolean => [one, other].every(({ directory }) => directory.waking?.isConnected === true);
  while (!isThere()) await new Promise(setImmediate);
  link = await open();
  events = link.events[Symbol.asyncIterator]();
  return () => link.close();
});

test("a request at either wakes the device, which is online at both, and its answer comes back to who asked", async () => {
  for (const world of [one, other]) {
    expect(await world.directory.presence.about(device)).toMatchObject({ version: "0.1.0" });
    await isAsked(world);
  }
});

test("requests at both at one moment arrive all, each once, though both count what they tell", async () => {
  const asked = Array.from({ length: 16 }, (_, i) => {
    const message = sessionMessage(client, device);
    return { message, frames: send(i % 2 === 0 ? one : other, client, message) };
  });
  const answers = asked.map(async ({ frames }) => (await rest(frames)).map(({ type }) => type));
  const sids = new Set<string>();
  for (const _ of asked) {
    const { prologue } = await notified();
    sids.add(Buffer.from(prologue.sid).toString("hex"));
    link.answer({ sid: prologue.sid, message2: random(100) });
  }
  expect(sids.size).toBe(asked.length);
  for (const types of await Promise.all(answers)) expect(types).toEqual(["ticket", "answer"]);
});

test("a request that waits at either is delivered when the device comes", async () => {
  link.close();
  for (const world of [one, other]) {
    await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
  }
  const waiting = [one, other].map((world) => {
    const message = sessionMessage(client, device, { waitSeconds: 600 });
    return { message, frames: send(world, client, message) };
  });
  for (const { frames } of waiting) await next(frames, "waiting");
  link = await open();
  events = link.events[Symbol.asyncIterator]();
  for (const _ of waiting) link.answer({ sid: (await notified()).prologue.sid, code: "E_BUSY", labels: [] });
  for (const { frames } of waiting) {
    expect((await rest(frames)).map(({ type }) => type)).toEqual(["ticket", "deviceCode"]);
  }
});

test("a device that goes from the broker to a WebSocket at one, and back, is asked where it is, by both", async () => {
  const socket = await TestLink.open(other, device);
  for (const world of [one, other]) {
    const message = sessionMessage(client, device);
    const frames = send(world, client, message);
    await next(frames, "ticket");
    // What it was asked before it may be asked twice, as the one hears late that it has moved.
    for (let asked = ""; asked !== hex(message.sid); ) asked = hex((await socket.notified()).prologue.sid);
    socket.link.answer({ sid: message.sid, message2: random(100) });
    expect(await only(frames)).toMatchObject({ type: "answer" });
  }
  link = await open();
  events = link.events[Symbol.asyncIterator]();
  await socket.close(); // as sshnpd does when it has the new one
  await expect.poll(() => other.directory.presence.get(device)).toBeUndefined();
  for (const world of [one, other]) await isAsked(world);
});

test("a WebSocket that a device has left without a word is asked no more, though another directory hears that it is at the broker", async () => {
  const socket = await TestLink.open(other, device);
  // A connection that is half open says nothing; what ends it is that the device is elsewhere.
  proxy.mischief = hearsNoHello;
  link = await open();
  events = link.events[Symbol.asyncIterator]();
  expect(await socket.end()).toMatchObject({ code: "E_REPLACED" });
  for (const world of [one, other]) {
    expect(world.directory.presence.get(device)).toBeUndefined();
    await isAsked(world);
  }
});

test("a device that is back at the broker before the row is read that it left for a WebSocket stays there", async () => {
  const { database } = other.store;
  const get = database.get.bind(database);
  const row = `${WAKES.prefix}${bindingSubject(device)}`;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const reads = vi.spyOn(database, "get").mockImplementation(async (key) => {
    if (key === row) await released;
    return await get(key);
  });
  proxy.mischief = hearsNoHello;
  const socket = await TestLink.open(other, device);
  await expect.poll(() => reads.mock.calls).toContainEqual([row]);
  link = await open();
  events = link.events[Symbol.asyncIterator]();
  release();
  expect(await socket.end()).toMatchObject({ code: "E_REPLACED" });
  reads.mockRestore();
  for (const world of [other, one]) await isAsked(world); // what the other does to the row, it does one after the other
});

test("a hello that one takes in only once its device is by WebSocket at the other leaves no place at the broker", async () => {
  const { database } = one.store;
  const get = database.get.bind(database);
  const row = `${WAKES.prefix}${bindingSubject(device)}`;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => (release = resolve));
  const reads = vi.spyOn(database, "get").mockImplementation(async (key) => {
    if (key === row) await released;
    return await get(key);
  });
  const atBroker = async (world: World): Promise<unknown> =>
    await (world.directory.waking as BrokerLinks).since(device);
  proxy.mischief = hearsNoHello;
  const opening = open();
  await expect.poll(() => reads.mock.calls).toContainEqual([row]);
  const socket = await TestLink.open(other, device);
  await expect.poll(() => atBroker(other)).toBeUndefined(); // it has left the place that it had
  release();
  link = await opening;
  reads.mockRestore();
  await expect.poll(() => atBroker(one)).toBeUndefined();
  await socket.close();
  for (const world of [one, other]) await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
});

test("what it has measured of rendezvous decides at both", async () => {
  const near = await addRendezvous(`near${count}`);
  const told: Distances = new Map([[distanceKey(near.ed25519.publicKey), 5]]);
  link.tellDistances(told);
  for (const world of [one, other]) {
    await expect.poll(async () => (await world.directory.presence.find(device))?.distances).toEqual(told);
    const { rendezvous } = await next(send(world, client, sessionMessage(client, device)), "ticket");
    expect(rendezvous[0]?.text).toContain(`rendezvous:near${count}`);
  }
});

test("what is stated at either the device is told, and a request that it waits for is withdrawn at either", async () => {
  const revoking = revocation(device.owner, device.binding);
  await only(send(other, device, putMessage(revoking)));
  for (;;) {
    const { value } = (await events.next()) as { value: LinkEvent };
    if (value.type === "own" && value.own.statements.member.text === revoking.text) break;
  }
  link.close();
  const another = await one.activated(`@another${count}`, "mygateway", "device");
  const message = sessionMessage(client, another, { waitSeconds: 600 });
  const frames = send(one, client, message);
  await next(frames, "waiting");
  await only(send(other, client, { type: REQUEST.withdraw, body: encodeWithdraw(message.sid) }));
  expect(await rest(frames)).toMatchObject([{ type: "refused", code: "E_INTERRUPTED" }]);
});

test("what is stated at one is told at the broker once, however many directories hear of it", async () => {
  const watched = await one.activated(`@watched${count}`, "laptop", "client");
  const byWebSocket = await TestLink.open(one, await one.activated(`@near${count}`, "mygateway", "device"));
  for (const each of [link, byWebSocket.link]) each.watch([watched]);
  await byWebSocket.event("changed");
  await changed(watched);

  const [here, there] = [one, other].map(({ directory }) => vi.spyOn(directory.waking as BrokerLinks, "changed"));
  await only(send(other, device, putMessage(revocation(watched.owner, watched.binding))));
  await changed(watched);
  await byWebSocket.event("changed"); // by now the other directory has told all that it tells
  expect(there).toHaveBeenCalledTimes(1);
  expect(here).not.toHaveBeenCalled();
  // Each takes its turn at the device's row: a second copy would come ahead of these.
  await isAsked(one);
  await isAsked(other);
  await byWebSocket.close();
});

test("one that ends takes nobody with it: the other one wakes the device", async () => {
  await other.pause();
  try {
    await isAsked(one);
  } finally {
    await other.resume();
  }
  await expect.poll(() => other.directory.waking?.isConnected).toBe(true);
  await isAsked(other);
});

/** The other directory cannot read what devices say to all. */
function hearsNoHello(packet: Packet, to: "client" | "broker"): readonly Packet[] {
  if (packet.cmd !== "publish" || to !== "client" || !packet.topic.startsWith("sshnp/u/")) return [packet];
  return [{ ...packet, payload: Buffer.from("unreadable") }];
}

/** One that both know. */
async function addRendezvous(name: string): Promise<TestRendezvous> {
  const made = await one.rendezvous(name);
  const { registry } = other.directory;
  const isKnown = (): boolean => registry.list(Date.now()).some((known) => known.name === name && known.isUp);
  while (!isKnown()) await registry.refresh();
  return made;
}

async function open(): Promise<Link> {
  const { name, member, x25519: sender } = device;
  return await openBrokerLink({
    ...{ client: one.client(), sender, broker: { url: new URL(broker.url) }, signal: patience(), limitMs: 20_000 },
    hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
  });
}

async function notified() {
  for (;;) {
    const { value } = (await events.next()) as { value: LinkEvent };
    if (value.type === "notify") return value.notify;
    if (value.type !== "own") throw new Error(`the directory sends ${value.type}`);
  }
}

/** Takes what the device is told, until it is how this client stands. */
async function changed({ name }: Person): Promise<void> {
  for (;;) {
    const { value } = (await events.next()) as { value: LinkEvent };
    if (value.type === "changed" && value.changed.client.name === name) return;
    if (value.type !== "own") throw new Error(`the directory sends ${value.type}`);
  }
}

async function isAsked(world: World): Promise<void> {
  const message = sessionMessage(client, device);
  const frames = send(world, client, message);
  await next(frames, "ticket");
  expect((await notified()).prologue.sid).toEqual(message.sid);
  link.answer({ sid: message.sid, message2: random(100) });
  expect(await only(frames)).toMatchObject({ type: "answer" });
}
