import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type BrokerConnection, connectBroker } from "../../directory/client/broker.ts";
import type { MemberName, Name } from "../../keys/names.ts";
import type { X25519PrivateKey } from "../../keys/x25519.ts";
import { directoryTopic } from "../../protocol/broker-topics.ts";
import { KEEPALIVE_MS } from "../../protocol/limits.ts";
import { encodeBrokerHello } from "../../protocol/messages/broker.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { type Freshness, sealMessage } from "../../protocol/sealed-message.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { NO_POLICY, patience, type Person, random, suite, TestClock, World } from "./world.ts";

/* Whoever may publish at a broker can say there whatever he likes, as often as he likes, under any name. */

let broker: Mosquitto;
let clock: TestClock;
let world: World;
let device: Person;
let stranger: BrokerConnection;

beforeAll(async () => {
  broker = await startMosquitto({ isQuiet: true });
});
afterAll(() => broker[Symbol.asyncDispose]());
beforeEach(async () => {
  clock = new TestClock();
  world = await World.start({ broker: { url: new URL(broker.url) }, clock });
  while (world.directory.waking?.isConnected !== true) await new Promise(setImmediate);
  device = await world.activated("@device", "mygateway", "device");
  stranger = await connectBroker({
    ...{ place: { url: new URL(broker.url) }, clientId: "stranger", topics: ["x"], keepaliveSeconds: 60 },
    ...{ onMessage: () => {}, limitMs: 20_000, signal: patience() },
  });
});
afterEach(async () => {
  stranger.close();
  await world[Symbol.asyncDispose]();
});

test("a device that was refused is forgotten once it may be refused as often as before", async () => {
  const { waking } = world.directory;
  await publish([hello(device.x25519, device, { kind: "time", time: 0 })]);
  await expect.poll(() => waking?.limited).toBe(1);
  clock.leap(KEEPALIVE_MS);
  expect(waking?.limited).toBe(0);
});

function hello(
  sender: X25519PrivateKey,
  { name, member }: { readonly name: Name; readonly member: MemberName },
  freshness: Freshness = { kind: "time", time: clock.now() },
): Buffer {
  const said = { ...{ name, member, epoch: random(16), version: "0.1.0", names: [] }, policyHash: NO_POLICY };
  const body = encodeBrokerHello({ ...said, checkpointSize: 0, connection: random(16) });
  const [key] = world.directory.keyring.sealing(clock.now());
  if (key === undefined) throw new Error("no key");
  const content = { freshness, id: random(16), type: LINK.brokerHello, body };
  return Buffer.from(sealMessage(suite, random, { sender, recipient: key.publicKey }, content).bytes);
}

async function publish(payloads: readonly Buffer[]): Promise<void> {
  const uplink = directoryTopic(suite, world.address.fingerprint);
  await Promise.all(payloads.map((payload) => stranger.publish(uplink, payload)));
}
