import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import type { Packet } from "mqtt-packet";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Link, type LinkEvent, openBrokerLink, putStatements } from "../../directory/client.ts";
import { connectBroker } from "../../directory/client/broker.ts";
import type { Operation } from "../../directory/database.ts";
import { hex, utf8 } from "../../keys/bytes.ts";
import { UnavailableError } from "../../keys/errors.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import { parseEntry, WAKES } from "../../directory/tables.ts";
import { revocation } from "../support/later-statements.ts";
import { liveBytes } from "../support/memory.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { type MqttProxy, startMqttProxy } from "../support/mqtt-proxy.ts";
import { next, send } from "./streams.ts";
import { NO_POLICY, patience, type Person, random, sessionMessage, suite, World } from "./world.ts";

/* What a directory says at its broker, where that takes it late, or never, or the store does not take that it was said. */

let broker: Mosquitto;
beforeAll(async () => {
  broker = await startMosquitto({ isQuiet: true });
});
afterAll(() => broker[Symbol.asyncDispose]());

test("a connection keeps nothing of what the broker has confirmed", async () => {
  const connection = await connectBroker({
    ...{ place: { url: new URL(broker.url) }, clientId: "busy", topics: ["x"], keepaliveSeconds: 60 },
    ...{ onMessage: () => {}, limitMs: 20_000, signal: patience() },
  });
  const publish = async (times: number): Promise<void> => {
    for (let i = 0; i < times; i += 500) {
      await Promise.all(Array.from({ length: 500 }, () => connection.publish("y", Buffer.alloc(8))));
    }
  };
  await publish(2_000);
  const before = liveBytes();
  await publish(20_000);
  expect(liveBytes() - before).toBeLessThan(20_000 * 50);
  connection.close();
  await connection.ended;
});

test("a directory whose broker stands still ends all the same", async () => {
  await using still = await startMosquitto({ isQuiet: true });
  const world = await World.start({ broker: { url: new URL(still.url) } });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  process.kill(still.process.pid, "SIGSTOP");
  try {
    const ended = world[Symbol.asyncDispose]().then(() => "ended");
    // The broker would be given up by the keep-alive after 30 s, were it still asked.
    expect(await Promise.race([ended, endOf(AbortSignal.timeout(25_000))])).toBe("ended");
  } finally {
    process.kill(still.process.pid, "SIGCONT");
  }
});

test("through restarts of the broker what was acknowledged stands, and the devices there hear of it", async () => {
  await using restarted = await startMosquitto({ isQuiet: true });
  const place = { url: new URL(restarted.url) };
  await using world = await World.start({ broker: place });
  await world.rendezvous();
  const device = await world.activated("@device", "mygateway", "device");
  const watched: Person[] = [];
  for (let i = 0; i < 36; i++) watched.push(await world.activated(`@watched${i}`, "laptop", "client"));
  const askers: Person[] = [];
  for (let i = 0; i < 5; i++) askers.push(await world.activated(`@asker${i}`, "laptop", "client"));
  const over = new AbortController();
  onTestFinished(() => over.abort());
  const there = new DeviceAtBroker(device, watched);
  const staying = there.stay(world, place, over.signal);
  await expect.poll(() => world.directory.presence.find(device)).toBeDefined();

  const stated: SignedText[] = [];
  const toState = watched.map(({ owner, binding, x25519 }) => ({ revoking: revocation(owner, binding), x25519 }));
  const state = async (count: number): Promise<void> => {
    for (const { revoking, x25519 } of toState.splice(0, count)) {
      await putStatements(world.client(), x25519, [revoking], { signal: patience() });
      stated.push(revoking);
    }
  };
  /** What came of each session request, by its sid. */
  const asked: { readonly sid: string; readonly ends: string[] }[] = [];
  const ask = async (asker: Person): Promise<readonly string[]> => {
    const message = sessionMessage(asker, device, { waitSeconds: 600 });
    const one = { sid: hex(message.sid), ends: [] as string[] };
    asked.push(one);
    for await (const frame of send(world, asker, message, AbortSignal.timeout(40_000))) {
      if (frame.type === "answer") one.ends.push(frame.type);
      if (frame.type === "refused") one.ends.push(frame.code);
    }
    return one.ends;
  };
  const [late, ...often] = askers as [Person, ...Person[]];
  const pause = new AbortController();
  onTestFinished(() => pause.abort());
  const asking = Promise.all(
    often.map(async (asker) => {
      for (; !pause.signal.aborted; await delay(100)) await ask(asker); // as often as a client may
    }),
  );
  for (let i = 0; i < 3; i++) {
    const stopping = restarted.stop();
    await state(4);
    await stopping;
    await expect.poll(() => world.directory.waking?.isConnected).toBe(false);
    const before = asked.length;
    const meanwhile = ask(late);
    await state(4);
    const starting = restarted.start();
    await state(4);
    await starting;
    expect(await meanwhile).toEqual(["answer"]); // it has waited for the device
    await expect.poll(() => asked.slice(before).flatMap(({ ends }) => ends), { timeout: 40_000 }).toContain("answer");
  }
  pause.abort();
  await asking;
  expect(stated).toHaveLength(watched.length);
  for (const revoking of stated) {
    await expect.poll(() => there.heard.get(subjectOf(revoking)), { timeout: 40_000 }).toBe(revoking.text);
    const { statementLog } = world.directory;
    const subject = subjectOf(revoking);
    const proof = await statementLog.proof([subject], 0);
    expect(statementLog.proves(proof, [subject], [suite.sha256(utf8(revoking.text))]), subject).toBe(true);
  }
  // Each request has one end: an answer, which the device has given, or the word that it was not asked, or has not answered.
  for (const { sid, ends } of asked) {
    expect(ends).toEqual([expect.stringMatching(/^(?:answer|E_BUSY|E_OFFLINE)$/)]);
    if (ends[0] === "answer") expect(there.answered).toContain(sid);
  }
  over.abort();
  await staying;
}, 120_000);

/** A device that comes back to its broker whenever that is lost, answers what it is asked, and keeps what it hears. */
class DeviceAtBroker {
  /** The newest statement on each client that it watches. */
  readonly heard = new Map<string, string>();
  /** Sids, hex. */
  readonly answered = new Set<string>();
  readonly #device: Person;
  readonly #watched: readonly Person[];

  constructor(device: Person, watched: readonly Person[]) {
    this.#device = device;
    this.#watched = watched;
  }

  async stay(world: World, place: { readonly url: URL }, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#once(world, place, signal);
      } catch {
        // It is lost, or could not be had.
      }
      await delay(20);
    }
  }

  async #once(world: World, place: { readonly url: URL }, signal: AbortSignal): Promise<void> {
    const { name, member, x25519: sender } = this.#device;
    const link = await openBrokerLink({
      ...{ client: world.client(), sender, broker: place, signal },
      hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
    });
    link.watch(this.#watched);
    for await (const event of link.events) {
      if (event.type === "notify") {
        const { sid } = event.notify.prologue;
        link.answer({ sid, message2: random(100) });
        this.answered.add(hex(sid));
      } else if (event.type === "changed") {
        const { member: newest } = event.changed.statements;
        this.heard.set(subjectOf(newest), newest.text);
      }
    }
  }
}

describe("a device is told of a revocation soon", () => {
  let proxy: MqttProxy;
  let world: World;
  let client: Person;
  let device: Person;
  let link: Link;
  let events: AsyncIterator<LinkEvent>;
  let count = 0;
  beforeAll(async () => {
    proxy = await startMqttProxy(broker.port);
    world = await World.start({ broker: { url: new URL(proxy.url) } });
    while (world.directory.waking?.isConnected !== true) await new Promise(setImmediate);
    await world.rendezvous();
  });
  afterAll(async () => {
    await world[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    client = await world.activated(`@client${++count}`, "laptop", "client");
    device = await world.activated(`@device${count}`, "mygateway", "device");
    const { name, member, x25519: sender } = device;
    link = await openBrokerLink({
      ...{ client: world.client(), sender, broker: { url: new URL(broker.url) }, signal: new AbortController().signal },
      hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
    });
    events = link.events[Symbol.asyncIterator]();
    link.watch([client]);
    await changed();
    return () => link.close();
  });
  /** What the device hears next about its client. */
  const changed = async () => {
    for (;;) {
      const { value } = (await events.next()) as { value: LinkEvent | undefined };
      if (value === undefined) throw new Error("the link has ended");
      if (value.type === "changed") return value.changed.statements.member;
    }
  };
  const revoke = async () => {
    const revoking = revocation(client.owner, client.binding);
    await putStatements(world.client(), client.x25519, [revoking], { signal: patience() });
    return revoking;
  };

  test("where the broker takes it and does not pass it on: who revokes is answered, and the next connection brings it", async () => {
    let withheld = 0;
    proxy.mischief = (packet: Packet, to) => {
      if (packet.cmd !== "publish" || to !== "broker") return [packet];
      withheld += 1;
      return [];
    };
    const revoking = await revoke();
    expect(withheld).toBeGreaterThan(0);
    proxy.mischief = (packet) => [packet];
    expect(await changed()).toEqual(revoking);
    // The directory reads what devices say, and wakes them.
    const asker = await world.activated(`@asker${count}`, "laptop", "client");
    await next(send(world, asker, sessionMessage(asker, device)), "ticket");
    for (;;) if (((await events.next()).value as LinkEvent).type === "notify") break;
  });

  test("where the store takes it only after a moment, while the connection to the broker stands", async () => {
    const { database } = world.store;
    const write = database.write.bind(database);
    const row = WAKES.prefix + bindingSubject(device);
    const { epoch } = parseEntry(WAKES, (await database.get(row)) ?? "");
    let failures = 2;
    let later = 2;
    const fails = (operation: Operation): boolean => {
      if (operation.key !== row || operation.type !== "replace") return false;
      if (failures > 0) return failures-- > 0;
      if (operation.before === undefined || operation.value === undefined) return false;
      const [before, after] = [parseEntry(WAKES, operation.before), parseEntry(WAKES, operation.value)];
      // It has said hello, and whom it watches, and is to be told how those stand.
      return after.epoch !== epoch && before.heard > 0 && after.sent > before.sent && later-- > 0;
    };
    database.write = async (durability, operations) => {
      if (operations.some(fails)) throw new UnavailableError("E_STORAGE", "The store cannot be written.");
      await write(durability, operations);
    };
    const revoking = await revoke();
    expect(failures).toBeLessThan(2);
    expect(await changed()).toEqual(revoking);
    expect(failures).toBeLessThanOrEqual(0);
    expect(later).toBeLessThanOrEqual(0);
  });
});

async function endOf(signal: AbortSignal): Promise<string> {
  await once(signal, "abort");
  return "hangs";
}
