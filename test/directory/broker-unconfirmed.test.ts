import { once } from "node:events";
import type { Packet } from "mqtt-packet";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Link, type LinkEvent, openBrokerLink, putStatements } from "../../directory/client.ts";
import { connectBroker } from "../../directory/client/broker.ts";
import type { Operation } from "../../directory/database.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import { parseEntry, WAKES } from "../../directory/tables.ts";
import { revocation } from "../support/later-statements.ts";
import { liveBytes } from "../support/memory.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { type MqttProxy, startMqttProxy } from "../support/mqtt-proxy.ts";
import { next, send } from "./streams.ts";
import { NO_POLICY, patience, type Person, sessionMessage, World } from "./world.ts";

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
