import { EventEmitter, once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import type * as timers from "node:timers/promises";
import type { Packet } from "mqtt-packet";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Link } from "../../directory/client.ts";
import { BROKER_TRY_MS } from "../../protocol/limits.ts";
import { openWakeableLink } from "../../sshnpd/wakeable-link.ts";
import { NO_POLICY, type Person, World } from "../directory/world.ts";
import { freePort } from "../support/free-port.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { type MqttProxy, startMqttProxy } from "../support/mqtt-proxy.ts";
import { SILENT } from "./stage.ts";

/*
 * How long a device waits for a broker by its own timers, before it is at the directory. Their clock goes on when a test says so,
 * and everything else is real; so what a busy machine takes for its work does not count, and what the device lets pass does.
 */

vi.mock("node:timers/promises", async (original) => ({
  ...(await original<typeof timers>()),
  setTimeout: (ms: number, value: unknown, { signal }: { readonly signal?: AbortSignal } = {}) =>
    new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      setTimeout(() => resolve(value), ms);
    }),
}));

/** What docs/mqtt.md promises; what is left of it after the device's own waits is for the network. */
const PROMISED_MS = 5_000;
/** The least that a step gets which is begun: leftUntil(). */
const STEP_LEAST_MS = 100;

let broker: Mosquitto;
let proxy: MqttProxy;
let world: World;
let device: Person;
let stop: AbortController;
let linked: Link | undefined;

beforeAll(async () => {
  broker = await startMosquitto();
  world = await World.start({ broker: { url: new URL(broker.url) } });
  device = await world.activated("@device", "mygateway", "device");
});

beforeEach(async () => {
  await vi.waitUntil(() => world.directory.waking?.isConnected, { timeout: 30_000 });
  proxy = await startMqttProxy(broker.port);
  stop = new AbortController();
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
    const over = new AbortController();
    setTimeout(() => over.abort(new DOMException("timeout", "TimeoutError")), ms);
    return over.signal;
  });
});

afterEach(async () => {
  vi.restoreAllMocks();
  vi.useRealTimers();
  stop.abort();
  linked?.close();
  linked = undefined;
  await proxy[Symbol.asyncDispose]();
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
  await broker[Symbol.asyncDispose]();
});

test.each([
  ["is not there", "nobody", undefined],
  ["closes before its first word", "closing", undefined],
  ["refuses the device", "proxy", { cmd: "connack", change: { returnCode: 5 } }],
  ["refuses the topic", "proxy", { cmd: "suback", change: { granted: [0x80] } }],
] as const)("a broker that %s is left without any wait", async (_what, where, refusal) => {
  proxy.mischief = (packet) =>
    [packet.cmd === refusal?.cmd ? { ...packet, ...refusal.change } : packet] as readonly Packet[];
  await using closing = await closingServer();
  const url = { nobody: `mqtt://127.0.0.1:${await freePort()}`, closing: closing.url, proxy: proxy.url }[where];
  const { ways, opening, elapsed } = open(url);
  linked = await opening;
  expect(ways).toEqual(["websocket"]);
  expect(elapsed()).toBe(0);
});

test("a broker that closes while the device waits there is left without any wait", async () => {
  const { ways, opening, fellBack, elapsed } = open(proxy.url);
  linked = await opening;
  expect(ways).toEqual(["mqtt"]);
  proxy.mischief = () => [];
  proxy.cut();
  await fellBack;
  expect(ways).toEqual(["mqtt", "websocket"]);
  expect(elapsed()).toBe(0);
});

test.each([
  ["does not answer", "connect", "broker"],
  ["answers no subscription", "subscribe", "broker"],
  ["passes on no hello", "publish", "broker"],
  ["brings nothing of the directory's", "publish", "client"],
] as const)("a broker that %s is left after BROKER_TRY_MS, below the 5 s that are promised", async (_what, cmd, to) => {
  const seen = new EventEmitter();
  proxy.mischief = (packet, direction) => {
    if (packet.cmd !== cmd || direction !== to) return [packet];
    seen.emit("packet");
    return [];
  };
  const withheld = once(seen, "packet");
  const { ways, opening, elapsed } = open(proxy.url);
  await withheld;
  await vi.advanceTimersByTimeAsync(BROKER_TRY_MS - 1);
  expect(ways).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  linked = await opening;
  expect(ways).toEqual(["websocket"]);
  expect(elapsed()).toBe(BROKER_TRY_MS);
  expect(elapsed()).toBeLessThan(PROMISED_MS);
});

test("a broker that takes nearly all the time for each of its answers does not make it longer than 5 s", async () => {
  const seen = new EventEmitter();
  proxy.mischief = (packet, direction) => {
    if (direction === "broker") return [packet];
    seen.emit("packet", packet);
    return [];
  };
  let withheld = once(seen, "packet");
  const { ways, opening, elapsed } = open(proxy.url);
  for (const ms of [BROKER_TRY_MS - 2, 1]) {
    const [answer] = (await withheld) as [Packet]; // CONNACK, then SUBACK
    withheld = once(seen, "packet");
    await vi.advanceTimersByTimeAsync(ms);
    proxy.inject(answer);
  }
  await withheld; // the hello has been said
  expect(ways).toEqual([]);
  await vi.advanceTimersByTimeAsync(STEP_LEAST_MS);
  linked = await opening;
  expect(ways).toEqual(["websocket"]);
  expect(elapsed()).toBe(BROKER_TRY_MS - 1 + STEP_LEAST_MS);
  // The keys, the connection and the hello may each begin at the last moment.
  expect(BROKER_TRY_MS + 2 * STEP_LEAST_MS).toBeLessThan(PROMISED_MS);
});

test.each([
  ["30 s", 30_000, false],
  ["90 s by a metered line", 90_000, true],
])(
  "a broker that stands still, with the connection to it, is left by the keep-alive after %s",
  async (_time, silentMs, isMetered) => {
    vi.useRealTimers();
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval", "performance"] });
    const { ways, opening, fellBack, elapsed } = open(broker.url, { isMetered });
    linked = await opening;
    expect(ways).toEqual(["mqtt"]);
    process.kill(broker.process.pid, "SIGSTOP");
    try {
      await vi.advanceTimersByTimeAsync(silentMs - 1);
      expect(ways).toEqual(["mqtt"]);
      await vi.advanceTimersByTimeAsync(1);
      await fellBack;
      expect(ways).toEqual(["mqtt", "websocket"]);
      expect(elapsed()).toBe(silentMs);
    } finally {
      process.kill(broker.process.pid, "SIGCONT");
    }
  },
);

/** Opens a daemon's link; with the ways that it has taken so far, and the ms that its own waits have taken. */
function open(url: string, { isMetered = false } = {}) {
  const ways: string[] = [];
  const changes = new EventEmitter();
  const fellBack = once(changes, "websocket");
  const goes = (way: string): void => {
    ways.push(way);
    changes.emit(way);
  };
  const begun = performance.now();
  const { name, member, x25519: sender } = device;
  const hello = { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY };
  const opening = openWakeableLink(
    { url },
    { client: world.client(), sender, hello, isMetered, signal: stop.signal },
    { log: SILENT, policyHash: () => NO_POLICY, goes },
  );
  opening.catch(() => {});
  return { ways, opening, fellBack, elapsed: () => performance.now() - begun };
}

/** Takes connections and closes them at once. */
async function closingServer() {
  const server = createServer((socket) => socket.on("error", () => {}).destroy()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `mqtt://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, [Symbol.asyncDispose]: async () => void (await once(server.close(), "close")) };
}
