import { EventEmitter, once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { connectBroker } from "../../directory/client/broker.ts";
import type { Database } from "../../directory/database.ts";
import { STORE_WORK } from "../../directory/observed-database.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { parseMember } from "../../keys/names.ts";
import { directoryTopic } from "../../protocol/broker-topics.ts";
import { BROKER_READ_AT_ONCE, BROKER_WAITING, HELLOS_AT_ONCE } from "../../protocol/limits.ts";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { MetricsPort, promtoolCheck } from "../support/metrics.ts";
import { Stack } from "../support/stack.ts";
import { connectRaw, helloBytes } from "./raw-link.ts";
import { Watched } from "./watched.ts";
import { newPerson, patience, random, suite, TestClock } from "./world.ts";

test("a directory counts connects by result, times their stages and its store, and promtool takes what it says", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0"] });
  const metrics = await MetricsPort.of(stack.directory);
  const before = await metrics.scrape();
  expect(before.get('sshnp_directory_connects_total{result="answered"}')).toBe(0);

  expect((await stack.ssh("true")).code).toBe(0);
  expect((await stack.client.run("sshnp", "@client", "@device", "nobody", ...stack.sshOptions, "true")).code).not.toBe(
    0,
  );
  const after = await metrics.scrape();
  const grown = (name: string): number => (after.get(name) ?? NaN) - (before.get(name) ?? NaN);
  expect(grown('sshnp_directory_connects_total{result="answered"}')).toBe(1);
  expect(grown('sshnp_directory_connects_total{result="E_UNKNOWN_NAME"}')).toBeGreaterThanOrEqual(1);
  for (const stage of ["ticket", "asked", "answered"]) {
    expect([stage, grown(`sshnp_directory_connect_seconds_count{stage="${stage}"}`)]).toEqual([stage, 1]);
    expect(grown(`sshnp_directory_connect_seconds_sum{stage="${stage}"}`)).toBeGreaterThan(0);
  }
  expect(grown('sshnp_directory_connect_seconds_count{stage="opened"}')).toBeGreaterThanOrEqual(2);
  for (const work of ["read", "claim", "kept"]) {
    expect([work, grown(`sshnp_directory_store_seconds_count{work="${work}"}`)]).toEqual([work, expect.any(Number)]);
    expect(grown(`sshnp_directory_store_seconds_count{work="${work}"}`)).toBeGreaterThan(0);
  }
  expect(after.get("sshnp_directory_devices_online")).toBe(1);
  expect(after.get('sshnp_directory_link_events_total{event="up websocket"}')).toBe(1);
  expect(after.get("sshnp_directory_rendezvous_up")).toBe(1);
  expect(after.get("sshnp_directory_log_entries")).toBeGreaterThan(4);
  expect(after.get('sshnp_directory_sessions{phase="answered"}')).toBe(1);
  expect(after.get("sshnp_event_loop_lag_seconds_count")).toBeGreaterThan(0);
  expect(promtoolCheck(await metrics.text())).toBe("");

  const witnesses = async (): Promise<unknown> => {
    const now = await metrics.scrape();
    return ["cosigns", "fails"].map((state) => now.get(`sshnp_directory_witnesses{state="${state}"}`));
  };
  expect(await witnesses()).toEqual([0, 0]);
  const data = join(stack.server.home, "directory");
  const place = ["--data", join(stack.server.home, "witness"), "--listen", "127.0.0.1:0", "--directory", stack.address];
  const witness = stack.server.start("sshnp-rendezvous", "witness", ...place);
  const [url = ""] = await witness.line(/^http:.*$/);
  const [key = ""] = await witness.line(/^sshnp-witness-.*$/);
  await stack.server.must("sshnp-directory", "witness", "add", "w1", url, key, "--data", data);
  await expect.poll(witnesses, { timeout: 10_000 }).toEqual([1, 0]);
  await witness.stop();
  const secret = await stack.addName("@other");
  await stack.client.must("sshnp-keys", "activate", "-a", "@other", "-c", secret, "--directory", stack.address);
  await expect.poll(witnesses, { timeout: 20_000 }).toEqual([0, 1]);
});

test("readyz tells of each part in JSON where the metrics are, in one word on the main port, and healthz says ok", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0", "--drain-seconds", "600"] });
  const metrics = await MetricsPort.of(stack.directory);
  const parts = { store: "ok", log: "ok", audit: "ok", "key list": "ok", rendezvous: "ok", draining: "ok" };
  expect(await metrics.ready()).toEqual({ http: 200, status: "ready", ...parts });
  expect((await metrics.get("/readyz")).headers.get("content-type")).toBe("application/json");
  const url = stack.address.replace(/#.*/, "");
  const main = async (path: string): Promise<unknown[]> => {
    const response = await fetch(`${url}${path}`);
    return [response.status, await response.text()];
  };
  expect(await main("/readyz")).toEqual([200, "ready\n"]);
  expect(await main("/healthz")).toEqual([200, "ok\n"]);
  expect(await main("/metrics")).toEqual([404, ""]);

  // Told to end, it goes on for those who come, and says to balancers that they should not.
  const exit = stack.directory.exit();
  process.kill(stack.directory.pid, "SIGTERM");
  await expect
    .poll(() => metrics.ready(), { timeout: 10_000 })
    .toMatchObject({
      ...{ http: 503, status: "not ready", draining: "the directory ends", store: "ok" },
    });
  expect(await main("/readyz")).toEqual([503, "not ready\n"]);
  expect(await main("/healthz")).toEqual([200, "ok\n"]);
  expect((await stack.ssh("true")).code).toBe(0);
  process.kill(stack.directory.pid, "SIGTERM");
  expect((await exit).code).toBe(0);
});

test("what asks for metrics slowly, or from many connections, keeps nobody else waiting", async () => {
  await using stack = await Stack.start({ directory: ["--metrics", "127.0.0.1:0"], withoutDaemon: true });
  const metrics = await MetricsPort.of(stack.directory);
  const slow = Array.from({ length: 100 }, () => connect(metrics.port, "127.0.0.1").on("error", () => {}));
  await Promise.all(slow.map((socket) => once(socket, "connect")));
  for (const socket of slow) socket.write("GET /metrics HTTP/1.1\r\nX: ");
  expect((await fetch(`${stack.address.replace(/#.*/, "")}/readyz`)).status).toBe(200);
  for (const socket of slow) socket.destroy();
  await expect.poll(async () => (await metrics.get("/healthz").catch(() => undefined))?.status).toBe(200);
});

test("what waits for the store, and what it failed at, is said for each kind of work; so is how many requests are open", async () => {
  let database: Database | undefined;
  await using watched = await Watched.start({ clock: new TestClock() }, (opened) => (database = opened));
  const { world } = watched;
  if (database === undefined) throw new Error("there is a database");
  const person = await world.activated("@device", "mygateway", "device");
  const waiting = async (): Promise<unknown> =>
    await Promise.all(STORE_WORK.map((work) => watched.value(`store_waiting{work="${work}"}`)));
  const open = async (): Promise<unknown> => await watched.value("requests_open");
  await expect.poll(waiting).toEqual([0, 0, 0, 0, 0]);
  expect(await open()).toBe(0);

  const disk = new EventEmitter().setMaxListeners(0);
  const held = holding(database, async () => void (await once(disk, "works")));
  const { store } = world;
  const asked = [
    ...Array.from({ length: 1 }, () => store.database.get("x")),
    ...Array.from({ length: 2 }, () => store.database.write("acknowledged", NOTHING)),
    ...Array.from({ length: 3 }, () => store.database.write("kept", NOTHING)),
    ...Array.from({ length: 4 }, (_, i) => store.database.claim(`held ${i}`, Date.now() + 60_000, Date.now())),
    ...Array.from({ length: 5 }, () => store.database.exclusively(async () => {})),
  ];
  expect(await waiting()).toEqual([1, 2, 3, 4, 5]);
  held.restore(); // or what has begun would wait once more, for a read of its own
  disk.emit("works");
  await Promise.all(asked);
  expect(await waiting()).toEqual([0, 0, 0, 0, 0]);

  const client = world.client();
  const withdraw = { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) };
  const looked = holding(database, async () => void (await once(disk, "works")), ["get", "getMany"]);
  const requests = Array.from({ length: 3 }, () => client.request(person.x25519, withdraw, { signal: patience() }));
  await expect.poll(open).toBe(3);
  looked.restore();
  disk.emit("works");
  await Promise.all(requests);
  await expect.poll(open).toBe(0);

  expect(await watched.counted("store_failures", "work")).toEqual({});
  const failing = holding(database, () => Promise.reject(new UnavailableError("E_STORAGE", "The disk is gone.")));
  const failures: Promise<unknown>[] = [
    store.database.get("x"),
    ...Array.from({ length: 2 }, () => store.database.write("acknowledged", NOTHING)),
    ...Array.from({ length: 3 }, () => store.database.write("kept", NOTHING)),
    ...Array.from({ length: 4 }, () => store.database.claim("x", Date.now() + 60_000, Date.now())),
    ...Array.from({ length: 5 }, () => store.database.exclusively(async () => {})),
  ];
  expect((await Promise.allSettled(failures)).every(({ status }) => status === "rejected")).toBe(true);
  failing.restore();
  expect(await watched.counted("store_failures", "work")).toEqual({
    read: 1,
    acknowledged: 2,
    kept: 3,
    claim: 4,
    turn: 5,
  });
});

test("hellos that wait for their turn are counted while they do, and devices that are not let in by the code that they are told", async () => {
  const clock = new TestClock();
  await using watched = await Watched.start({ clock });
  const { world } = watched;
  const device = await world.activated("@device", "mygateway", "device");
  const client = world.client();
  await client.keyList({ signal: patience() });
  const disk = new EventEmitter().setMaxListeners(0);
  const { store } = world;
  const read = store.member.bind(store);
  let asked = 0;
  store.member = async (party) => {
    asked += 1;
    await once(disk, "works");
    return await read(party);
  };
  const links = await Promise.all(Array.from({ length: HELLOS_AT_ONCE + 3 }, () => connectRaw(world)));
  expect(await watched.value("hellos_waiting")).toBe(0);
  for (const { socket } of links) socket.send(await helloBytes(client, device, clock.now()));
  await expect.poll(() => watched.value("hellos_waiting")).toBe(3);
  expect(asked).toBe(HELLOS_AT_ONCE);
  store.member = read;
  disk.emit("works");
  await expect.poll(() => watched.value("hellos_waiting")).toBe(0);
  for (const { socket } of links) socket.terminate();

  expect(await watched.counted("links_refused", "code")).toEqual({});
  const stranger = newPerson(device.name, parseMember("stranger"), "device");
  for (let times = 1; times <= 2; times++) {
    await expect(world.link(stranger)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    expect(await watched.counted("links_refused", "code")).toEqual({ E_NOT_AUTHORIZED: times });
  }
});

test("messages by the broker that wait are counted, and those that were dropped because too many did", async () => {
  await using broker = await startMosquitto({
    isQuiet: true,
    lines: ["max_queued_messages 0", "max_inflight_messages 0"],
  });
  await using watched = await Watched.start({ broker: { url: new URL(broker.url) } });
  const { world } = watched;
  await expect.poll(() => watched.value("broker_connected")).toBe(1);
  const device = await world.activated("@device", "mygateway", "device");
  const { store } = world;
  const read = store.keyHolder.bind(store);
  const disk = new EventEmitter().setMaxListeners(0);
  let reading = 0;
  store.keyHolder = async (key) => {
    reading += 1;
    await once(disk, "works");
    return await read(key);
  };
  const strange = await connectBroker({
    ...{ place: { url: new URL(broker.url) }, clientId: "strange", topics: ["x"], keepaliveSeconds: 60 },
    ...{ onMessage: () => {}, limitMs: 20_000, signal: patience() },
  });
  const topic = directoryTopic(suite, world.address.fingerprint);
  const publish = async (count: number, payload: Uint8Array): Promise<void> => {
    for (let left = count; left > 0; left -= 500) {
      await Promise.all(Array.from({ length: Math.min(left, 500) }, () => strange.publish(topic, payload)));
    }
  };
  const waiting = async (): Promise<unknown> => [
    await watched.value("broker_messages_waiting"),
    await watched.value("broker_dropped_total"),
  ];
  expect(await waiting()).toEqual([0, 0]);
  const message = await helloBytes(world.client(), device, Date.now());
  await publish(BROKER_READ_AT_ONCE + 5, message);
  await expect.poll(waiting).toEqual([5, 0]);
  expect(reading).toBe(BROKER_READ_AT_ONCE);
  await publish(BROKER_WAITING - 5 + 7, Buffer.from("no sealed message"));
  await expect.poll(waiting, { timeout: 30_000 }).toEqual([BROKER_WAITING, 7]);
  store.keyHolder = read;
  disk.emit("works");
  await expect.poll(waiting, { timeout: 30_000 }).toEqual([0, 7]);
  strange.close();
  await strange.ended;
}, 120_000);

/** A write that changes nothing. */
const NOTHING = [{ type: "del", key: "nothing" }] as const;

const WORDS = ["get", "getMany", "write", "claim", "exclusively"] as const;

/** Has each call of a database begin with `first`. */
function holding(
  database: Database,
  first: () => Promise<void>,
  words: readonly (typeof WORDS)[number][] = WORDS,
): { restore(): void } {
  const before = words.map((word) => [word, database[word]] as const);
  for (const [word, call] of before) {
    const held = async (...args: unknown[]): Promise<unknown> => {
      await first();
      return await Reflect.apply(call, database, args);
    };
    Object.assign(database, { [word]: held });
  }
  return { restore: () => Object.assign(database, Object.fromEntries(before)) };
}
