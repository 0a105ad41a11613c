import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { openLink } from "../../directory/client.ts";
import { LINK_CLOSE } from "../../directory/link-close.ts";
import { LINK_MESSAGE_BYTES, METERED_PING_MS, METERED_SILENCE_MS } from "../../protocol/limits.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { startTcpTap } from "../support/tcp-tap.ts";
import { sealed } from "./raw.ts";
import { lose, next, only, rest, send, TestLink } from "./streams.ts";
import {
  activate,
  newPerson,
  patience,
  type Person,
  random,
  sessionMessage,
  TestClock,
  World,
  NO_POLICY,
} from "./world.ts";
import { connectRaw, helloBytes, type RawLink } from "./raw-link.ts";

const clock = new TestClock();
let world: World;
let client: Person;
beforeAll(async () => {
  world = await World.start({ clock });
  client = await world.activated("@client", "laptop-client", "client");
});
afterAll(() => world[Symbol.asyncDispose]());

let count = 0;
let device: Person;
beforeEach(async () => {
  count += 1;
  device = await world.activated(`@device${count}`, "mygateway", "device");
  await world.rendezvous(`rz${count}`);
});

test("a link is for devices with a current binding, sent by themselves", async () => {
  const name = parseName(`@short${count}`);
  const shortLived = newPerson(name, parseMember("gw"), "device", { expires: clock.now() + 1000 });
  await activate(world.client(), shortLived, await world.addName(name));
  clock.advance(1000);
  const stranger = newPerson(parseName("@stranger"), parseMember("gw"), "device");
  const impostor = { ...stranger, name: device.name, member: device.member };
  for (const refused of [stranger, impostor, client, { ...device, member: parseMember("other") }]) {
    await expect(world.link(refused)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
  }
  await expect(world.link(shortLived)).rejects.toMatchObject({ code: "E_STATEMENT" });
});

test.each([-1, 1])(
  "with a directory whose clock is %i h ahead a device links, and knows its time then",
  async (hours) => {
    await using other = await World.start({ clock: new TestClock(hours * 3_600_000) });
    const gateway = await other.activated("@device", "mygateway", "device");
    const directory = other.client();
    const link = await TestLink.open(other, gateway, { client: directory });
    expect(Math.abs((directory.clockOffset ?? 0) - hours * 3_600_000)).toBeLessThan(60_000);
    link.link.close();
  },
);

test("the newest link of a member counts; the older one is told so and ends", async () => {
  const older = await TestLink.open(world, device);
  const newer = await TestLink.open(world, device);
  expect(await older.end()).toMatchObject({ code: "E_REPLACED" });
  const message = sessionMessage(client, device);
  await next(send(world, client, message), "ticket");
  expect((await newer.notified()).prologue.sid).toEqual(message.sid);
});

test("a link that changes hands too often is reported as a clone, once it is too often", async () => {
  const reports = async (): Promise<number> => {
    const audit = await readFile(world.data.pathOf("audit.ndjson"), "utf8");
    const entries = audit
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    return entries.filter((entry) => entry["event"] === "clone" && entry["device"] === `${device.name}/mygateway`)
      .length;
  };
  for (let i = 0; i < 4; i++) await TestLink.open(world, device);
  expect(await reports()).toBe(0);
  await TestLink.open(world, device);
  await expect.poll(reports).toBe(1);
  clock.advance(60_000);
  await TestLink.open(world, device);
  await TestLink.open(world, device);
  expect(await reports()).toBe(1);
});

test("names are reported at once when they are activated, else when they are", async () => {
  const later = parseName(`@later${count}`);
  const never = parseName(`@never${count}`);
  const secret = await world.addName(later);
  const link = await TestLink.open(world, device, { names: [client.name, later, never] });
  const texts = async () => (await link.event("names")).names.chains.flat().map(({ text }) => text);
  expect(await texts()).toEqual([client.statement.text]);
  const person = newPerson(later, parseMember("laptop"), "client");
  await activate(world.client(), person, secret);
  expect(await texts()).toEqual([person.statement.text]);
});

test("a name's owner is reported ahead of the first request of its members", async () => {
  const later = parseName(`@later${count}`);
  const secret = await world.addName(later);
  const link = await TestLink.open(world, device, { names: [later] });
  const person = newPerson(later, parseMember("laptop"), "client");
  await activate(world.client(), person, secret);
  const message = sessionMessage(person, device);
  await next(send(world, person, message), "ticket");
  await link.event("names");
  await link.notified();
  link.link.answer({ sid: message.sid, message2: random(1200) });

  const second = sessionMessage(person, device, { waitSeconds: 60 });
  await link.close();
  await next(send(world, person, second), "waiting");
  const again = await TestLink.open(world, device, { names: [later] });
  await again.event("names");
  expect((await again.notified()).prologue.sid).toEqual(second.sid);
});

test("when a device was last seen survives the directory", async () => {
  await using other = await World.start();
  const me = await other.activated("@client", "laptop", "client");
  const gateway = await other.activated("@device", "mygateway", "device");
  await TestLink.open(other, gateway);
  const before = Date.now();
  await other.pause();
  await other.resume();
  const refused = await only(send(other, me, sessionMessage(me, gateway)));
  if (refused.type !== "refused") throw new Error(refused.type);
  expect(refused.code).toBe("E_OFFLINE");
  expect(Math.abs(refused.detail - before)).toBeLessThan(60_000);
});

test("a directory that ends cuts its links and answers, so that nobody takes that for an end", async () => {
  await using other = await World.start();
  const me = await other.activated("@client", "laptop", "client");
  const gateway = await other.activated("@device", "mygateway", "device");
  const away = await other.activated("@away", "mygateway", "device");
  const link = await TestLink.open(other, gateway);
  const frames = send(other, me, sessionMessage(me, away, { waitSeconds: 60 }));
  await next(frames, "waiting");
  await other.pause();
  expect(await link.end()).toMatchObject({ code: "E_DIRECTORY" });
  await expect(rest(frames)).rejects.toMatchObject({ code: "E_DIRECTORY" });
});

test("a device that answers no ping is gone after half a minute, one that does stays", async () => {
  const other = await world.activated(`@other${count}`, "mygateway", "device");
  const silent = await hello(device, { autoPong: false });
  const lively = await hello(other);
  await Promise.all([silent.message(), lively.message()]);
  const pings = Promise.all([once(silent.socket, "ping"), once(lively.socket, "ping")]);
  clock.advance(20_000);
  await pings;
  // The directory has read the pong when it has answered what was sent after it.
  await next(send(world, client, sessionMessage(client, device)), "ticket");
  await next(send(world, client, sessionMessage(client, other)), "ticket");
  clock.advance(10_000);
  await once(silent.socket, "close");
  expect(lively.socket.readyState).toBe(lively.socket.OPEN);
  expect(await only(send(world, client, sessionMessage(client, device)))).toMatchObject({ code: "E_OFFLINE" });
  lively.socket.terminate();
});

test("a link over a metered line is pinged every minute, and gone in little more without an answer", async () => {
  const silent = await hello(device, { autoPong: false, path: "/v1/link?metered" });
  await silent.message();
  let pings = 0;
  silent.socket.on("ping", () => (pings += 1));
  clock.advance(METERED_PING_MS);
  await expect.poll(() => pings).toBe(1);
  expect(silent.socket.readyState).toBe(silent.socket.OPEN);
  clock.advance(METERED_SILENCE_MS - METERED_PING_MS);
  await silent.closed;
  await expect(connectRaw(world, { path: "/v1/link?heartbeat=1" })).rejects.toThrow("404");
});

test("a link tells the address of this machine that it goes from", async () => {
  const { name, member, x25519: sender } = device;
  const told: unknown[] = [];
  const link = await openLink({
    client: world.client(),
    sender,
    hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
    onConnected: (address) => told.push(address),
    signal: patience(),
  });
  expect(told).toEqual(["127.0.0.1"]);
  link.close();
});

test("a link that is asked for a sign of life ends in time without one, and lives on with one", async () => {
  await using tap = await startTcpTap(() => Number(world.address.url.port));
  const dead = await TestLink.open(world, await world.activated(`@dead${count}`, "mygateway", "device"), {
    client: world.client({ address: { ...world.address, url: new URL(`http://127.0.0.1:${tap.port}`) } }),
  });
  await dead.event("own"); // what is on its way would be a sign of life
  const alive = await TestLink.open(world, device);
  tap.silence();
  alive.link.probe();
  dead.link.probe();
  // The other one was asked before it, so its time is up as well.
  expect(await dead.end()).toMatchObject({ code: "E_DIRECTORY", message: expect.stringContaining("is silent") });
  const message = sessionMessage(client, device);
  const frames = send(world, client, message);
  await next(frames, "ticket");
  expect((await alive.notified()).prologue.sid).toEqual(message.sid);
  alive.link.answer({ sid: message.sid, code: "E_BUSY", labels: [] });
  expect((await rest(frames)).at(-1)).toMatchObject({ type: "deviceCode", code: "E_BUSY" });
  alive.link.close();
});

test("a device that goes as soon as it is welcome, while what it asked for is looked up, has been seen", async () => {
  const names = Array.from({ length: 60 }, (_, i) => parseName(`@asked${i}`));
  const devices = await Promise.all(
    Array.from({ length: 8 }, (_, i) => world.activated(`@brief${i}`, "mygateway", "device")),
  );
  for (const brief of devices) {
    const link = await connectRaw(world);
    link.socket.once("message", () => link.socket.terminate());
    link.socket.send(await helloBytes(world.client(), brief, clock.now(), names));
    await link.closed;
    const frame = await only(send(world, client, sessionMessage(client, brief)));
    expect(frame).toMatchObject({ type: "refused", code: "E_OFFLINE" });
  }
});

test("whoever connects and says no hello is gone after five seconds", async () => {
  const mute = await connectRaw(world);
  clock.advance(6000);
  expect(await mute.closed).toBe(1006);
});

test("a hello that was recorded opens no second link, not even after a restart", async () => {
  await using other = await World.start();
  const gateway = await other.activated("@device", "mygateway", "device");
  const recorded = await helloOf(gateway, other);
  const link = await connectRaw(other);
  link.socket.send(recorded);
  await link.message();
  const replay = async (): Promise<void> => {
    const attacker = await connectRaw(other);
    attacker.socket.send(recorded);
    expect(await attacker.closed).toBe(LINK_CLOSE.refused);
  };
  await replay();
  expect(link.socket.readyState).toBe(link.socket.OPEN);
  await other.pause();
  await other.resume();
  await replay();
  expect(other.directory.presence.get(gateway)).toBeUndefined();
});

test("what one link said counts on no other, and not twice", async () => {
  const first = await connectRaw(world);
  first.socket.send(await helloOf(device));
  const second = await connectRaw(world);
  const bytes = await helloOf(device);
  second.socket.send(bytes);
  await second.message();
  second.socket.send(bytes);
  expect(await second.closed).toBe(LINK_CLOSE.refused);
});

test("a message of an end that is no device's hello opens no link", async () => {
  for (const type of [LINK.answer, LINK.welcome, LINK.notify, 1, 3, 0]) {
    const link = await connectRaw(world);
    link.socket.send((await sealed(world.client(), device.x25519, { type, body: random(40) })).bytes);
    expect(await link.closed).toBe(LINK_CLOSE.refused);
  }
});

test("a hello to a sealing key that is gone is told so", async () => {
  const link = await connectRaw(world);
  const bytes = await helloOf(device);
  bytes.set(random(8), 1);
  link.socket.send(bytes);
  expect(await link.closed).toBe(LINK_CLOSE.unknownSealingKey);
});

test.each([
  ["text", (link: RawLink) => link.socket.send("hello")],
  ["random bytes", (link: RawLink) => link.socket.send(random(200))],
  ["nothing", (link: RawLink) => link.socket.send(new Uint8Array(0))],
  ["a message that is too long", (link: RawLink) => link.socket.send(random(LINK_MESSAGE_BYTES + 1))],
  [
    "endless fragments",
    (link: RawLink) => {
      for (let i = 0; i < 100; i++) link.socket.send(random(1), { fin: false });
    },
  ],
  [
    "empty fragments",
    (link: RawLink) => {
      for (let i = 0; i < 100; i++) link.socket.send(new Uint8Array(0), { fin: false });
    },
  ],
  [
    "a flood of pings",
    (link: RawLink) => {
      for (let i = 0; i < 1000; i++) link.socket.ping(random(100));
    },
  ],
])("whoever sends %s is cut off, and nobody else notices", async (_what, attack) => {
  const attacker = await connectRaw(world);
  attack(attacker);
  await attacker.closed;
  const link = await hello(device);
  expect(await link.message()).toBeInstanceOf(Uint8Array);
  link.socket.terminate();
});

test("a page in a browser gets no link", async () => {
  const link = connectRaw(world, { origin: "https://evil.example.org" });
  await expect(link).rejects.toThrow("403");
});

test("a link is at one path alone", async () => {
  await expect(connectRaw(world, { path: "/v1/link/" })).rejects.toThrow("404");
  await expect(connectRaw(world, { path: "/" })).rejects.toThrow("404");
});

test("a request that is lost by its client costs its device nothing", async () => {
  const link = await TestLink.open(world, device);
  const message = sessionMessage(client, device);
  const frames = send(world, client, message);
  await next(frames, "ticket");
  await lose(world, frames);
  link.link.answer({ sid: message.sid, message2: random(1200) });
  const second = sessionMessage(client, device);
  await next(send(world, client, second), "ticket");
  await link.notified();
  expect((await link.notified()).prologue.sid).toEqual(second.sid);
});

async function helloOf(person: Person, where: World = world): Promise<Uint8Array> {
  return await helloBytes(where.client(), person, where === world ? clock.now() : Date.now());
}

async function hello(person: Person, options: Parameters<typeof connectRaw>[1] = {}): Promise<RawLink> {
  const link = await connectRaw(world, options);
  link.socket.send(await helloOf(person));
  return link;
}
