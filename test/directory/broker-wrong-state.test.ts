import { Writable } from "node:stream";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type Link, openBrokerLink } from "../../directory/client.ts";
import { DeniedError } from "../../keys/errors.ts";
import { deviceAtBroker } from "../../protocol/broker-topics.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { startMqttProxy } from "../support/mqtt-proxy.ts";
import { isConfidential } from "../../directory/client/broker.ts";
import { parseBrokerUrl } from "../../directory/client/read-broker-place.ts";
import { openTwoWayLink } from "../../sshnpd/two-way-link.ts";
import { next, rest, send } from "./streams.ts";
import { NO_POLICY, patience, type Person, sessionMessage, suite, TestClock, World } from "./world.ts";

/** Lines for all, whoever they say they are. */
const ALL = "pattern readwrite #\n";
/** The directory hears devices, and they do not hear it. */
const WELCOMES_NOBODY = "pattern write #\npattern read sshnp/u/+\npattern read sshnp/r/+/+\n";

const HOUR_MS = 3_600_000;

describe("a broker that asks for passwords", () => {
  const login = { user: "sshnp-directory", password: "only for tests" };

  test("that are wrong is no broker: the directory serves all the same, and says why; no password is in what it says", async () => {
    await using broker = await startMosquitto({ passwords: { [login.user]: "another one" } });
    const log = keptLog();
    await using world = await World.start({ broker: { url: new URL(broker.url), login }, log: log.log });
    await expect.poll(() => log.text()).toMatch(/cannot be used: Connection refused: Not authorized/);
    expect(world.directory.waking?.isConnected).toBe(false);
    await expect.poll(() => brokerPart(world)).toEqual(REFUSES_LOGIN);
    expect(log.text()).not.toContain(login.password);
    const { client, device } = await people(world);
    await expect(byBroker(world, device, broker.url)).rejects.toMatchObject({
      ...{ code: "E_DIRECTORY", message: expect.stringContaining("Not authorized") },
    });
    const { events } = await world.link(device);
    await next(send(world, client, sessionMessage(client, device)), "ticket");
    for await (const { type } of events) if (type === "notify") break;
  });

  test("and does not know tokens lets in no device, whatever it calls itself", async () => {
    await using broker = await startMosquitto({ passwords: { [login.user]: login.password } });
    await using world = await World.start({ broker: { url: new URL(broker.url), login } });
    await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
    const { device } = await people(world);
    await expect(byBroker(world, device, broker.url)).rejects.toMatchObject({ code: "E_DIRECTORY" });
    expect(await world.directory.presence.find(device)).toBeUndefined();
  });
});

test("a device that is gone without a goodbye is offline by what the broker says for it, and who asks for it is told at once", async () => {
  await using broker = await startMosquitto();
  await using proxy = await startMqttProxy(broker.port);
  // Its clock stands, for all that waits for an answer: nobody is told because that has not come.
  const clock = new TestClock();
  await using world = await World.start({ broker: { url: new URL(broker.url) }, clock });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const { client, device } = await people(world);
  const link = await byBroker(world, device, proxy.url);
  await expect.poll(() => world.directory.presence.find(device)).toBeDefined();
  const ended = drained(link);
  proxy.cut();
  await expect(ended).rejects.toMatchObject({ code: "E_DIRECTORY" });
  await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
  expect(await rest(send(world, client, sessionMessage(client, device)))).toMatchObject([
    { type: "refused", code: "E_OFFLINE" },
  ]);
});

test("a directory that fails at a hello by the broker refuses it as busy, and logs why", async () => {
  await using broker = await startMosquitto({ acl: ALL });
  const log = keptLog();
  await using world = await World.start({ broker: { url: new URL(broker.url) }, log: log.log });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const { device } = await people(world);
  const asked = vi.spyOn(world.store, "member").mockRejectedValue(new TypeError("a fault of ours"));
  await expect(byBroker(world, device, broker.url)).rejects.toMatchObject({ code: "E_BUSY" });
  expect(log.text()).toContain("a fault of ours");
  asked.mockRestore();
  (await byBroker(world, device, broker.url)).close();
});

describe("a broker whose access list", () => {
  let broker: Awaited<ReturnType<typeof startMosquitto>>;
  let world: World;
  let device: Person;
  beforeAll(async () => {
    broker = await startMosquitto({ acl: ALL });
    world = await World.start({ broker: { url: new URL(broker.url) } });
    ({ device } = await people(world));
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await broker[Symbol.asyncDispose]();
  });

  test.each([
    ["forbids to read what is for devices", WELCOMES_NOBODY],
    ["forbids to write to the directory", "pattern readwrite sshnp/d/+\npattern read #\n"],
    ["forbids to write to devices", "pattern read #\npattern write sshnp/u/+\npattern write sshnp/r/+/+\n"],
    ["is empty", "\n"],
  ])("%s passes on nothing, and is no way for a device", async (_what, acl) => {
    await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
    await broker.setAccess(acl);
    // All that can be awaited is that nothing comes.
    await expect(byBroker(world, device, broker.url, 500)).rejects.toMatchObject({
      ...{ code: "E_DIRECTORY", message: expect.stringMatching(/passes on nothing|refuses the subscription/) },
    });
    await broker.setAccess(ALL);
    const link = await byBroker(world, device, broker.url);
    link.close();
    await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
  });
});

describe("a token goes to a broker on this machine, or over TLS that is verified, and nowhere else", () => {
  test.each([
    [true, "mqtt://127.0.0.1:1883"],
    [true, "mqtt://localhost"],
    [true, "mqtt://[::1]:1883"],
    [true, "mqtts://broker.example.org"],
    [false, "mqtts://broker.example.org", true],
    [false, "mqtt://broker.example.org"],
    [false, "mqtt://10.0.0.1"],
    [false, "mqtt://127.0.0.1.example.org"],
    [false, "mqtt://localhost.example.org"],
    [false, "mqtt://[::2]"],
  ])("%s for %s, unverified %s", (isTold, url, isUnverified: boolean = false) => {
    expect(isConfidential({ url: parseBrokerUrl(url), isUnverified })).toBe(isTold);
  });
});

test("who comes in at the broker under a device's name throws it out, and is nobody to the directory; the device comes back", async () => {
  await using broker = await startMosquitto();
  await using world = await World.start({ broker: { url: new URL(broker.url) } });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const { client, device } = await people(world);
  const link = await byBroker(world, device, broker.url);
  // Where the broker lets anybody in under any name.
  const { connectBroker } = await import("../../directory/client/broker.ts");
  const thief = await connectBroker({
    ...{ place: { url: new URL(broker.url) }, clientId: deviceAtBroker(suite, world.address.fingerprint, device) },
    ...{ topics: ["x"], keepaliveSeconds: 60, onMessage: () => {}, limitMs: 10_000, signal: patience() },
  });
  await expect(drained(link)).rejects.toMatchObject({ code: "E_DIRECTORY" });
  thief.close();
  const again = await byBroker(world, device, broker.url);
  await next(send(world, client, sessionMessage(client, device)), "ticket");
  for await (const { type } of again.events) if (type === "notify") break;
});

test("of two machines with one device's keys one goes on, by whatever way, and the other is told that it was replaced", async () => {
  await using broker = await startMosquitto();
  await using world = await World.start({ broker: { url: new URL(broker.url) } });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const { client, device } = await people(world);
  const ends: string[] = [];
  const stop = new AbortController();
  const machine = async (name: string): Promise<void> => {
    const link = await openTwoWayLink(
      {
        byBroker: (signal, limitMs) => byBroker(world, device, broker.url, limitMs, signal),
        byWebSocket: (signal) => world.link(device, { signal }),
        onWay: () => {},
        random: Math.random,
      },
      stop.signal,
    );
    try {
      for await (const event of link.events) {
        if (event.type === "notify") link.answer({ sid: event.notify.prologue.sid, code: "E_BUSY", labels: [] });
      }
    } catch (error) {
      ends.push(error instanceof DeniedError ? `${name} ${error.code}` : `${name} ${String(error)}`);
    }
  };
  const machines = [machine("first")];
  await expect.poll(async () => await world.directory.presence.find(device)).toBeDefined();
  machines.push(machine("second"));
  await expect.poll(() => ends, { timeout: 20_000 }).toEqual([expect.stringMatching(/^(?:first|second) E_REPLACED$/)]);
  // The other one is there.
  const frames = await rest(send(world, client, sessionMessage(client, device)));
  expect(frames.map(({ type }) => type)).toEqual(["ticket", "deviceCode"]);
  stop.abort();
  await Promise.all(machines);
});

test("a device whose hello the broker takes, and then gives it no welcome, comes by WebSocket again and does not wait for the end of that", async () => {
  await using broker = await startMosquitto({ acl: WELCOMES_NOBODY });
  await using world = await World.start({ broker: { url: new URL(broker.url) } });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const { client, device } = await people(world);
  let opened = 0;
  const stop = new AbortController();
  const link = await openTwoWayLink(
    {
      byBroker: (signal, limitMs) => byBroker(world, device, broker.url, limitMs === undefined ? 500 : HOUR_MS, signal),
      byWebSocket: (signal) => {
        opened += 1;
        return world.link(device, { signal });
      },
      onWay: () => {},
      random: () => 0,
    },
    stop.signal,
  );
  const served = (async () => {
    for await (const event of link.events) {
      if (event.type === "notify") link.answer({ sid: event.notify.prologue.sid, code: "E_BUSY", labels: [] });
    }
  })();
  await expect.poll(() => opened, { timeout: 20_000 }).toBeGreaterThan(2);
  await broker.setAccess("pattern read #\n"); // nor its hello
  await expect
    .poll(async () => (await rest(send(world, client, sessionMessage(client, device)))).map(({ type }) => type), {
      timeout: 30_000,
    })
    .toEqual(["ticket", "deviceCode"]);
  stop.abort();
  await served.catch(() => {});
});

test("the audit says of a link by the broker whether one by WebSocket gave way to it", async () => {
  await using broker = await startMosquitto();
  await using world = await World.start({ broker: { url: new URL(broker.url) } });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const { device } = await people(world);
  const up: unknown[] = [];
  world.directory.audit.onEntry = ({ event, replaced, peer }) => {
    if (event === "link up") up.push([replaced, typeof peer === "object" && peer !== null && "by" in peer]);
  };
  const socket = await world.link(device);
  await expect.poll(() => up).toEqual([[false, false]]);
  const link = await byBroker(world, device, broker.url);
  await expect(drained(socket)).rejects.toMatchObject({ code: "E_REPLACED" });
  await expect.poll(() => up.slice(1)).toEqual([[true, true]]);
  link.close();
  await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
  (await byBroker(world, device, broker.url)).close();
  await expect.poll(() => up.slice(2)).toEqual([[false, true]]);
});

test.each([
  ["all", [0x80, 0x80]],
  ["what devices say to whichever directory", [0x80, 1]],
  ["what they answer to the one that has asked", [1, 0x80]],
])(
  "a directory whose subscription is refused by the broker, of %s, has none and says so, until it is granted",
  async (_what, granted) => {
    await using broker = await startMosquitto({ isQuiet: true });
    await using proxy = await startMqttProxy(broker.port);
    proxy.mischief = (packet) => [packet.cmd === "suback" ? { ...packet, granted } : packet];
    const log = keptLog();
    await using world = await World.start({ broker: { url: new URL(proxy.url) }, log: log.log });
    await expect.poll(() => brokerPart(world)).toEqual(REFUSES_SUBSCRIPTION);
    expect(world.directory.waking?.isConnected).toBe(false);
    expect(log.text()).toContain("cannot be used: the broker refuses the subscription");
    expect((await fetch(new URL("/readyz", world.address.url))).status).toBe(200);
    proxy.mischief = (packet) => [packet];
    await expect.poll(() => brokerPart(world), { timeout: 30_000 }).toEqual({ name: "broker", status: "ok" });
  },
);

const REFUSES_LOGIN = refuses("the login");
const REFUSES_SUBSCRIPTION = refuses("the subscription");

function refuses(what: string) {
  const reason = `the MQTT broker refuses ${what} of the directory; devices come by WebSocket`;
  return { name: "broker", status: "degraded", reason };
}

/** What /readyz says of the broker. */
async function brokerPart({ directory }: World): Promise<unknown> {
  return (await directory.readiness.look()).checks.find(({ name }) => name === "broker");
}

async function people(world: World): Promise<{ readonly client: Person; readonly device: Person }> {
  await world.rendezvous();
  const client = await world.activated("@client", "laptop", "client");
  return { client, device: await world.activated("@device", "mygateway", "device") };
}

async function byBroker(
  world: World,
  device: Person,
  url: string,
  limitMs?: number,
  signal: AbortSignal = new AbortController().signal,
): Promise<Link> {
  const { name, member, x25519: sender } = device;
  return await openBrokerLink({
    ...{ client: world.client(), sender, broker: { url: new URL(url) }, signal, limitMs },
    hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
  });
}

async function drained({ events }: Link): Promise<void> {
  for await (const _ of events);
}

/** What a directory logs. */
function keptLog() {
  let text = "";
  const kept = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString();
      done();
    },
  });
  return { log: pino(kept), text: () => text };
}
