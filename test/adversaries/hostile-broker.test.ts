import type { Packet } from "mqtt-packet";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { type Link, type LinkEvent, openBrokerLink, putStatements } from "../../directory/client.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { BROKER_HELLOS_AGAIN, LINK_MESSAGES_BURST } from "../../protocol/limits.ts";
import { encodeBrokerHello } from "../../protocol/messages/broker.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { sealMessage } from "../../protocol/sealed-message.ts";
import { openTwoWayLink, type Way } from "../../sshnpd/two-way-link.ts";
import { deviceAtBroker, deviceTopic, directoryTopic } from "../../protocol/broker-topics.ts";
import type { Distances } from "../../protocol/messages/rendezvous-distances.ts";
import { type Person, patience, random, sessionMessage, suite, NO_POLICY, World } from "../directory/world.ts";
import { next, only, send } from "../directory/streams.ts";
import { revocation } from "../support/later-statements.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { type MqttProxy, startMqttProxy } from "../support/mqtt-proxy.ts";

/* The broker is whoever runs it. All that it can do is to bring messages late, or not at all. */

type Published = Extract<Packet, { cmd: "publish" }>;

let broker: Mosquitto;
let proxy: MqttProxy;
let world: World;
let client: Person;
let device: Person;
let link: Link;
let events: AsyncIterator<LinkEvent>;
/** What the broker has carried, by direction. */
const down: Published[] = [];
const up: Published[] = [];
const isPublish = (packet: Packet): packet is Published => packet.cmd === "publish";
const honest = (packet: Packet, to: "client" | "broker"): Packet[] => {
  if (isPublish(packet)) (to === "client" ? down : up).push(packet);
  return [packet];
};
let count = 0;

beforeAll(async () => {
  broker = await startMosquitto();
  proxy = await startMqttProxy(broker.port);
  world = await World.start({ broker: { url: new URL(broker.url) } });
  client = await world.activated("@client", "laptop", "client");
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
  await broker[Symbol.asyncDispose]();
});
beforeEach(async () => {
  device = await world.activated(`@device${++count}`, "mygateway", "device");
  await world.rendezvous(`rz${count}`);
  down.length = 0;
  up.length = 0;
  proxy.mischief = honest;
  link = await open();
  events = link.events[Symbol.asyncIterator]();
  await event("own");
  return () => link.close();
});

test("what it brings twice, and again later, is taken once", async () => {
  proxy.mischief = (packet, to) => [...honest(packet, to), ...(isPublish(packet) ? [again(packet)] : [])];
  for (let i = 0; i < 3; i++) await isAsked();
  const before = [...down];
  proxy.mischief = honest;
  for (const packet of before) proxy.inject(again(packet));
  await isAsked();
});

test("what it puts in a wrong order is taken in the right one", async () => {
  const held: Packet[] = [];
  proxy.mischief = (packet, to) => {
    if (to !== "client" || !isPublish(packet)) return [packet];
    held.push(packet);
    return held.length < 4 ? [] : held.splice(0).toReversed();
  };
  const asked = Array.from({ length: 4 }, () => ask());
  await Promise.all(asked.map(({ frames }) => next(frames, "ticket")));
  for (const _ of asked) {
    const { notify } = await event("notify");
    link.answer({ sid: notify.prologue.sid, message2: random(1200) });
  }
  for (const { frames } of asked) await next(frames, "answer");
});

test("what it withholds is missed when the next message comes, and asked for: the request arrives late", async () => {
  let withheld = 0;
  proxy.mischief = (packet, to) => (to === "client" && isPublish(packet) && withheld++ === 0 ? [] : [packet]);
  const first = ask();
  await next(first.frames, "ticket");
  const second = ask();
  await next(second.frames, "ticket");
  const sids = new Set<string>();
  while (sids.size < 2) {
    const { notify } = await event("notify");
    sids.add(Buffer.from(notify.prologue.sid).toString("hex"));
    link.answer({ sid: notify.prologue.sid, message2: random(1200) });
  }
  await Promise.all([next(first.frames, "answer"), next(second.frames, "answer")]);
});

test("what it makes up, keeps, takes from others or changes is passed over", async () => {
  const other = await world.activated(`@other${count}`, "elsewhere", "device");
  const others: Published[] = [];
  proxy.mischief = (packet, to) => {
    if (to === "client" && isPublish(packet)) others.push(packet);
    return [packet];
  };
  const another = await open(other);
  const otherTopic = deviceTopic(deviceAtBroker(suite, world.address.fingerprint, other));
  await expect.poll(() => others.filter(({ topic }) => topic === otherTopic).length).toBeGreaterThan(1);
  proxy.mischief = honest;
  const topic = deviceTopic(deviceAtBroker(suite, world.address.fingerprint, device));
  const uplink = directoryTopic(suite, world.address.fingerprint);
  const [sample] = down.filter((packet) => packet.topic === topic);
  if (sample === undefined) throw new Error("nothing was carried");
  const changed = Buffer.from(sample.payload);
  changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1;
  for (const payload of [
    ...[Buffer.alloc(0), Buffer.alloc(60_000), Buffer.from(random(300)), changed],
    ...others.filter((packet) => packet.topic === otherTopic).map((packet) => Buffer.from(packet.payload)),
    ...up.map((packet) => Buffer.from(packet.payload)),
  ]) {
    proxy.inject({ ...again(sample), topic, payload });
    proxy.inject({ ...again(sample), topic, payload, retain: true });
    await publish(uplink, payload);
  }
  await isAsked();
  another.close();
});

test("a goodbye that it brings early, or brings again, keeps a device away for a moment", async () => {
  let isGone = false;
  const goodbye = await new Promise<Buffer>((resolve) => {
    proxy.mischief = (packet, to) => {
      if (packet.cmd === "connect") resolve(Buffer.from(packet.will?.payload ?? ""));
      return honest(packet, to);
    };
    link.close();
    void (async () => {
      link = await open();
      events = link.events[Symbol.asyncIterator]();
      isGone = true;
    })();
  });
  await expect.poll(() => isGone).toBe(true);
  const said = up.length;
  await publish(directoryTopic(suite, world.address.fingerprint), goodbye);
  await expect.poll(() => up.length).toBeGreaterThan(said);
  // The directory asks whether that is so, and the device says that it is there.
  await expect.poll(async () => (await world.directory.presence.find(device)) !== undefined).toBe(true);
  await isAsked();
});

test("an old list of clients that it brings again does not hide from the device what is said of newer ones", async () => {
  link.watch([]);
  link.watch([client]);
  await event("changed");
  const uplink = directoryTopic(suite, world.address.fingerprint);
  for (const packet of [...up]) await publish(uplink, Buffer.from(packet.payload));
  await isAsked();
  const later = await world.activated(`@later${count}`, "laptop", "client");
  link.watch([client, later]);
  await event("changed");
  for (const packet of up.slice(0, -1)) await publish(uplink, Buffer.from(packet.payload));
  const revoking = revocation(later.owner, later.binding);
  await putStatements(world.client(), later.x25519, [revoking], { signal: patience() });
  expect((await event("changed")).changed.statements.member).toEqual(revoking);
});

test("a session that it has lost, or whose subscription it forgets, is missed with the next hello", async () => {
  const topic = deviceTopic(deviceAtBroker(suite, world.address.fingerprint, device));
  proxy.mischief = (packet, to) => {
    if (to !== "broker" || !isPublish(packet)) return [packet];
    proxy.mischief = honest;
    return [{ cmd: "unsubscribe", messageId: 65_000, unsubscriptions: [topic] }, packet];
  };
  link.probe();
  await expect(drained()).rejects.toMatchObject({
    code: "E_DIRECTORY",
    message: expect.stringContaining("nothing of the"),
  });
});

test("when it goes on losing messages it is left for the WebSocket, by which what was lost arrives", {
  timeout: 60_000,
}, async () => {
  const welcome = down[0]?.payload.length;
  link.close();
  const ways: Way[] = [];
  let asked = ask();
  let hellos = 0;
  let isLosing = false;
  // The first message after each welcome is lost, and all that comes then waits for it.
  proxy.mischief = (packet, to) => {
    if (!isPublish(packet)) return [packet];
    if (to === "broker" && packet.topic.startsWith("sshnp/u/")) {
      hellos += 1;
      isLosing = false;
      asked = ask(60); // it may be judged before the hello is
      void asked.frames.next();
    }
    if (to === "broker") return [packet];
    const isLost = isLosing;
    isLosing = packet.payload.length === welcome;
    return isLost ? [] : [packet];
  };
  const stop = new AbortController();
  const isLeft = new Promise<unknown>((resolve) => {
    const onWay = (way: Way, why: unknown): void => {
      ways.push(way);
      if (way !== "websocket") return;
      proxy.mischief = () => []; // no way back
      resolve(why);
    };
    const both = { byBroker: () => open(), byWebSocket: () => world.link(device), onWay, random: Math.random };
    void (async () => {
      link = await openTwoWayLink(both, stop.signal);
      events = link.events[Symbol.asyncIterator]();
    })();
  });
  expect(await isLeft).toMatchObject({ message: expect.stringContaining("loses messages") });
  expect(ways).toEqual(["mqtt", "websocket"]);
  expect(hellos).toBeGreaterThan(BROKER_HELLOS_AGAIN);
  while (Buffer.compare((await event("notify")).notify.prologue.sid, asked.message.sid) !== 0);
  stop.abort();
});

test("a hello that it keeps until the device has gone to the WebSocket, and brings then, does not end the device", async () => {
  link.close();
  await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
  const kept: Published[] = [];
  proxy.mischief = (packet, to) => {
    if (to === "client" || !isPublish(packet)) return [packet];
    kept.push(packet);
    return [{ cmd: "pingreq" }];
  };
  const stop = new AbortController();
  let sockets = 0;
  const two = await openTwoWayLink(
    {
      byBroker: (signal) => openAtBroker(device, signal, 500),
      byWebSocket: (signal) => {
        sockets += 1;
        return world.link(device, { signal });
      },
      onWay: () => {},
      random: () => 1,
    },
    stop.signal,
  );
  link = two;
  events = two.events[Symbol.asyncIterator]();
  await expect.poll(() => world.directory.presence.get(device)).toBeDefined();
  const uplink = directoryTopic(suite, world.address.fingerprint);
  const [hello] = kept.filter(({ topic }) => topic === uplink);
  await publish(uplink, Buffer.from(hello?.payload ?? ""));
  await expect.poll(() => sockets).toBe(2); // the first was replaced, by what looked like the same device
  await expect.poll(() => world.directory.presence.get(device)).toBeDefined();
  await isAsked();
  stop.abort();
});

test("a hello under somebody else's name, or one of long ago, makes the directory say no more to that one than a few words", async () => {
  const [key] = world.directory.keyring.sealing(Date.now());
  if (key === undefined) throw new Error("no key");
  const { name, member } = device;
  const hello = { ...{ name, member, epoch: random(16), version: "0.1.0", names: [] }, policyHash: NO_POLICY };
  const body = encodeBrokerHello({ ...hello, checkpointSize: 0, connection: random(16) });
  const sealed = (sender: X25519PrivateKey): Buffer => {
    const content = { freshness: { kind: "time", time: 0 }, id: random(16), type: LINK.brokerHello, body } as const;
    return Buffer.from(sealMessage(suite, random, { sender, recipient: key.publicKey }, content).bytes);
  };
  const uplink = directoryTopic(suite, world.address.fingerprint);
  for (const [payload, most] of [
    [sealed(X25519PrivateKey.generate(suite, random)), 0],
    [sealed(client.x25519), 0],
    [sealed(device.x25519), 50], // BROKER_REFUSALS_BURST, and one a second for as long as the hundred take
  ] as const) {
    const before = down.length;
    await publish(uplink, ...Array.from({ length: 100 }, () => payload));
    await isAsked(); // what came before was read by then
    expect(down.length - before - 1).toBeLessThanOrEqual(most);
  }
});

test("what it floods the directory with keeps no device from being asked", async () => {
  await using flooded = await World.start({ broker: { url: new URL(proxy.url) } });
  await expect.poll(() => flooded.directory.waking?.isConnected).toBe(true);
  const uplink = directoryTopic(suite, flooded.address.fingerprint);
  const [key] = flooded.directory.keyring.sealing(Date.now());
  const recipient = key?.publicKey ?? device.x25519.publicKey;
  const content = { freshness: { kind: "time", time: Date.now() }, type: LINK.brokerHello } as const;
  // Of strangers, sealed as they should be, so that each is opened.
  const sealed = Array.from({ length: 50 }, () =>
    Buffer.from(
      sealMessage(
        suite,
        random,
        { sender: device.x25519, recipient },
        { ...content, id: random(16), body: random(200) },
      ).bytes,
    ),
  );
  const packet = { cmd: "publish", topic: uplink, qos: 0, dup: false, retain: false } as const;
  for (let i = 0; i < 3_000; i += 1) {
    proxy.inject({ ...packet, payload: sealed[i % sealed.length] ?? "" }, (clientId) =>
      clientId.startsWith("sshnpdirectory"),
    );
  }
  const asking = await flooded.activated("@asking", "laptop", "client");
  const asked = await flooded.activated("@asked", "mygateway", "device");
  await flooded.rendezvous();
  const { events: told } = await flooded.link(asked);
  await next(send(flooded, asking, sessionMessage(asking, asked)), "ticket");
  for await (const { type } of told) if (type === "notify") break;
});

test("what a device has said that it brings again without end keeps none of its answers from being heard", async () => {
  const uplink = directoryTopic(suite, world.address.fingerprint);
  link.watch([client]);
  await event("changed");
  await isAsked();
  const said = up.map((packet) => Buffer.from(packet.payload));
  const flood = Array.from({ length: 3 * LINK_MESSAGES_BURST }, (_, i) => said[i % said.length] ?? Buffer.alloc(0));
  const { message, frames } = ask();
  await next(frames, "ticket");
  await event("notify");
  await publish(uplink, ...flood);
  link.answer({ sid: message.sid, message2: random(1200) }); // right behind all that
  expect(await only(frames)).toMatchObject({ type: "answer" });
});

test("distances from before that it brings again do not take the place of newer ones", async () => {
  const told = (ms: number): Distances => new Map([["0102030405060708", ms]]);
  const known = async (): Promise<unknown> => (await world.directory.presence.find(device))?.distances;
  link.tellDistances(told(5));
  link.tellDistances(told(500));
  await expect.poll(known).toEqual(told(500));
  const uplink = directoryTopic(suite, world.address.fingerprint);
  for (const packet of up.slice(0, -1)) await publish(uplink, Buffer.from(packet.payload));
  await isAsked(); // the directory has read them by then: they came before the answer
  expect(await known()).toEqual(told(500));
  // Nor those of another hello of the same connection.
  const before = up.length;
  link.probe();
  await expect.poll(() => up.length).toBeGreaterThan(before + 1);
  link.tellDistances(told(7));
  await expect.poll(known).toEqual(told(7));
  for (const packet of up.slice(0, before)) await publish(uplink, Buffer.from(packet.payload));
  await isAsked();
  expect(await known()).toEqual(told(7));
});

test("a packet that is too long ends it before it is held", async () => {
  const topic = deviceTopic(deviceAtBroker(suite, world.address.fingerprint, device));
  proxy.inject({
    cmd: "publish",
    topic,
    payload: Buffer.alloc(200_000),
    qos: 0,
    dup: false,
    retain: false,
  });
  await expect(drained()).rejects.toMatchObject({ message: expect.stringContaining("too long") });
});

async function openAtBroker(who: Person, signal: AbortSignal, limitMs?: number): Promise<Link> {
  const { name, member, x25519: sender } = who;
  return await openBrokerLink({
    ...{ client: world.client(), sender, broker: { url: new URL(proxy.url) }, signal, limitMs },
    hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
  });
}

async function open(who: Person = device): Promise<Link> {
  for (;;) {
    try {
      return await openAtBroker(who, new AbortController().signal);
    } catch (error) {
      if (!/passes on nothing/.test(String(error))) throw error; // the directory itself is on its way there
    }
  }
}

function ask(waitSeconds = 0) {
  const message = sessionMessage(client, device, { waitSeconds });
  return { message, frames: send(world, client, message) };
}

/** One request that arrives once and is answered. */
async function isAsked(): Promise<void> {
  const { message, frames } = ask();
  await next(frames, "ticket");
  expect((await event("notify")).notify.prologue.sid).toEqual(message.sid);
  link.answer({ sid: message.sid, message2: random(1200) });
  expect(await only(frames)).toMatchObject({ type: "answer" });
}

async function event<Type extends LinkEvent["type"]>(type: Type): Promise<Extract<LinkEvent, { type: Type }>> {
  for (;;) {
    const { value } = (await events.next()) as { value: LinkEvent | undefined };
    if (value?.type === type) return value as Extract<LinkEvent, { type: Type }>;
    if (value?.type !== "own") throw new Error(`the directory sends ${JSON.stringify(value)}`);
  }
}

async function drained(): Promise<void> {
  while ((await events.next()).done !== true);
}

function again(packet: Published): Published {
  return { ...packet, dup: true, qos: 0 };
}

/** Says something at the broker as anybody could. */
async function publish(topic: string, ...payloads: readonly Buffer[]): Promise<void> {
  const { connectBroker } = await import("../../directory/client/broker.ts");
  const stranger = await connectBroker({
    ...{ place: { url: new URL(broker.url) }, clientId: `x${Buffer.from(random(8)).toString("hex")}`, topics: ["x"] },
    ...{ keepaliveSeconds: 60, onMessage: () => {}, limitMs: 10_000, signal: patience() },
  });
  await Promise.all(payloads.map((payload) => stranger.publish(topic, payload)));
  stranger.close();
}
