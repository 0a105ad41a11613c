import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fromHex, hex } from "../../keys/bytes.ts";
import { brokerToken } from "../../directory/client/broker-token.ts";
import { LinkSealer } from "../../directory/link-sealing.ts";
import { deviceAtBroker, deviceTopic, directoryTopic, replicaTopic } from "../../protocol/broker-topics.ts";
import { encodeBrokerHello, encodeWake } from "../../protocol/messages/broker.ts";
import { encodeDistances } from "../../protocol/messages/rendezvous-distances.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { type Freshness, sealMessage } from "../../protocol/sealed-message.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { cast, NOW, repeatableRandom } from "./fixtures.ts";

const VECTORS = join(import.meta.dirname, "../vectors/golden.json");

describe.each(["native", "noble"])("every layout of what goes by a broker, made with the %s suite", (suiteName) => {
  test("is byte for byte the frozen one", async () => {
    const layouts = await everyLayout(suiteName);
    await expect(`${JSON.stringify(layouts, null, 2)}\n`).toMatchFileSnapshot("golden/broker.json");
  });
});

async function everyLayout(suiteName: string): Promise<Record<string, string>> {
  const suite = await loadSuite(suiteName);
  const random = repeatableRandom("broker golden");
  const { client, device, directory } = cast(suite);
  const fingerprint = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
  const [epoch, nonce, connection, replica] = [random(16), random(16), random(16), random(16)];
  const atBroker = deviceAtBroker(suite, fingerprint, device);

  const parties = { sender: device.x25519, recipient: directory.sealing.publicKey };
  const up = (type: number, body: Uint8Array, freshness: Freshness): string =>
    hex(sealMessage(suite, random, parties, { type, body, freshness, id: random(16) }).bytes);
  const time = { kind: "time", time: NOW } as const;
  const brokerHello = encodeBrokerHello({
    ...{ name: device.name, member: device.member, epoch, version: "0.1.0", names: [client.name] },
    ...{ checkpointSize: 7, policyHash: random(32), connection },
  });
  const distances = encodeDistances(new Map([["0102030405060708", 12]]));
  const nothing = new Uint8Array(0);
  const saying = new LinkSealer({ suite, random }, parties, nonce);

  const { notify = "" } = JSON.parse(readFileSync(VECTORS, "utf8")) as Record<string, string>;
  const wake = encodeWake(replica, fromHex(notify));
  const telling = new LinkSealer(
    { suite, random },
    { sender: directory.sealing, recipient: device.x25519.publicKey },
    epoch,
  );
  return {
    "device at the broker": atBroker,
    "topic of the device": deviceTopic(atBroker),
    "topic of the directory": directoryTopic(suite, fingerprint),
    "topic of a process of the directory": replicaTopic(suite, fingerprint, replica),
    "broker hello": hex(brokerHello),
    "broker hello, as it is published": up(LINK.brokerHello, brokerHello, time),
    "broker hello over a nonce, as it is published": up(LINK.brokerHello, brokerHello, { kind: "nonce", nonce }),
    "goodbye, as it is left": up(LINK.goodbye, nothing, { kind: "nonce", nonce: connection }),
    "broker token": brokerToken({ suite, random, directoryTime: NOW }, parties),
    "distances, as they are published": hex(saying.seal({ type: LINK.distances, body: distances })),
    wake: hex(wake),
    "wake, as it is published": hex(telling.seal({ type: LINK.wake, body: wake })),
    "probe, as it is published": hex(telling.seal({ type: LINK.probe, body: nothing })),
  };
}
