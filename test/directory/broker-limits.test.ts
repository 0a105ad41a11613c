import type { Packet } from "mqtt-packet";
import { expect, test } from "vitest";
import { type Link, openBrokerLink, putStatements } from "../../directory/client.ts";
import { MESSAGE1_BYTES, MESSAGE2_BYTES } from "../../protocol/limits.ts";
import { policy } from "../support/later-statements.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import { startMqttProxy } from "../support/mqtt-proxy.ts";
import { next, send } from "./streams.ts";
import { NO_POLICY, patience, random, sessionMessage, World } from "./world.ts";

/* AWS IoT Core's quotas of its message broker, and what it does not have: retained messages are paid for, QoS 2 is refused. */
const AWS = { packetBytes: 128 * 1024, topicBytes: 256, slashes: 7, topicsAtOnce: 8, clientIdBytes: 128 };

test("all that devices and a directory send keeps within the limits of AWS IoT Core, in MQTT 3.1.1", async () => {
  await using broker = await startMosquitto();
  await using proxy = await startMqttProxy(broker.port);
  const sent: Packet[] = [];
  const brought: Packet[] = [];
  proxy.mischief = (packet, to) => {
    (to === "broker" ? sent : brought).push(packet);
    return [packet];
  };
  await using world = await World.start({ broker: { url: new URL(proxy.url) } });
  await expect.poll(() => world.directory.waking?.isConnected).toBe(true);
  const client = await world.activated("@client", "laptop", "client");
  // The longest names.
  const device = await world.activated(`@${"d".repeat(32)}`, "m".repeat(36), "device");
  for (const name of ["rz1", "rz2", "rz3"]) await world.rendezvous(name);
  const open = async (): Promise<Link> => {
    const { name, member, x25519: sender } = device;
    return await openBrokerLink({
      ...{ client: world.client(), sender, broker: { url: new URL(proxy.url) }, signal: patience() },
      hello: { name, member, version: "0.1.0", names: [client.name], policyHash: NO_POLICY },
    });
  };
  const link = await open();
  const message = sessionMessage(client, device, { message1: random(MESSAGE1_BYTES) });
  const frames = send(world, client, message);
  await next(frames, "ticket");
  for await (const event of link.events) {
    if (event.type !== "notify") continue;
    link.watch([client]);
    link.tellDistances(new Map(Array.from({ length: 16 }, (_, i) => [`00000000000000${10 + i}`, i])));
    link.answer({ sid: message.sid, message2: random(MESSAGE2_BYTES) });
    break;
  }
  await next(frames, "answer");
  // The longest that the directory says by itself.
  const rules = `version: 1\n${`# ${"x".repeat(77)}\n`.repeat(80)}`;
  await putStatements(
    world.client(),
    device.x25519,
    [policy(device.owner, device.name, undefined, { policy: rules })],
    {
      signal: patience(),
    },
  );
  link.close();
  await expect.poll(() => sent.filter(({ cmd }) => cmd === "disconnect")).toHaveLength(1);
  (await open()).close();
  await expect.poll(() => sent.filter(({ cmd }) => cmd === "disconnect")).toHaveLength(2);

  const kinds = new Set(sent.map(({ cmd }) => cmd));
  expect([...kinds].sort()).toEqual(["connect", "disconnect", "puback", "publish", "subscribe"]);
  const checkTopic = (topic: string): void => {
    expect(Buffer.byteLength(topic)).toBeLessThanOrEqual(AWS.topicBytes);
    expect(topic.split("/").length - 1).toBeLessThanOrEqual(AWS.slashes);
    expect(topic).toMatch(/^[a-z0-9/]+$/); // no wildcard, no $
  };
  const clientIds: string[] = [];
  let longest = 0;
  for (const packet of sent) {
    longest = Math.max(longest, packet.length ?? 0);
    if (packet.cmd === "connect") {
      expect(packet).toMatchObject({ protocolId: "MQTT", protocolVersion: 4, clean: true });
      expect(packet.clientId).toMatch(/^[a-z0-9]+$/);
      expect(packet.clientId.length).toBeLessThanOrEqual(AWS.clientIdBytes);
      clientIds.push(packet.clientId);
      if (packet.will === undefined) continue;
      expect(packet.will).toMatchObject({ qos: 1, retain: false });
      checkTopic(packet.will.topic);
    } else if (packet.cmd === "subscribe") {
      expect(packet.subscriptions.length).toBeLessThanOrEqual(AWS.topicsAtOnce);
      for (const { topic, qos } of packet.subscriptions) {
        expect(qos).toBe(1);
        checkTopic(topic);
      }
    } else if (packet.cmd === "publish") {
      expect(packet).toMatchObject({ qos: 1, retain: false });
      checkTopic(packet.topic);
    }
  }
  expect(longest).toBeGreaterThan(MESSAGE2_BYTES);
  expect(longest).toBeLessThan(AWS.packetBytes);
  // The directory's, and the device's own for one connection after the other.
  expect(clientIds).toHaveLength(3);
  expect(new Set(clientIds).size).toBe(2);
  expect(brought.every((packet) => packet.cmd !== "publish" || !packet.retain)).toBe(true);
});
