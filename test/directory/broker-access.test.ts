import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BrokerAccess } from "../../directory/broker-access.ts";
import { putStatements } from "../../directory/client.ts";
import { brokerToken } from "../../directory/client/broker-token.ts";
import { Freshness } from "../../directory/freshness.ts";
import { AddressLimiter } from "../../directory/rate-limit.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { deviceAtBroker, deviceTopic, directoryTopic, replicaTopic } from "../../protocol/broker-topics.ts";
import { BROKER_DENIALS_BURST, BROKER_DENIALS_PER_SECOND } from "../../protocol/limits.ts";
import { LINK } from "../../protocol/messages/types.ts";
import { sealMessage } from "../../protocol/sealed-message.ts";
import { freePort } from "../support/free-port.ts";
import { revocation } from "../support/later-statements.ts";
import { newPerson, patience, type Person, random, suite, TestClock, World } from "./world.ts";

/*
 * What brokers ask the directory: RabbitMQ's rabbitmq_auth_backend_http in forms, with the fields that 3.10 was seen to send, and EMQX's
 * HTTP authenticator and authorizer in JSON, with the body that docs/mqtt.md gives.
 */

let clock: TestClock;
let world: World;
let client: Person;
let device: Person;
let user: string;
let count = 0;

beforeAll(async () => {
  clock = new TestClock();
  world = await World.start({ clock, broker: { url: new URL(`mqtt://127.0.0.1:${await freePort()}`) } });
  client = await world.activated("@client", "laptop", "client");
});
afterAll(() => world[Symbol.asyncDispose]());
beforeEach(async () => {
  device = await world.activated(`@device${++count}`, "mygateway", "device");
  user = atBroker(device);
});

interface Broker {
  readonly name: string;
  /** Whether somebody may come in. */
  comesIn(user: string, password: string, clientId?: string): Promise<boolean>;
  may(user: string, action: "read" | "write", topic: string): Promise<boolean>;
}

const ask = async (path: string, type: string, body: string): Promise<string> => {
  const { port } = world.directory;
  const url = `http://127.0.0.1:${port}/v1/mqtt/${path}`;
  const response = await fetch(url, { method: "POST", body, headers: { "content-type": type } });
  expect(response.status).toBe(200);
  return await response.text();
};
const form = async (path: string, fields: Readonly<Record<string, string>>): Promise<boolean> => {
  const answer = await ask(path, "application/x-www-form-urlencoded", new URLSearchParams(fields).toString());
  expect(answer).toMatch(/^(?:allow|deny)$/);
  return answer === "allow";
};
const json = async (path: string, value: unknown): Promise<boolean> => {
  const { result, ...rest } = JSON.parse(await ask(path, "application/json", JSON.stringify(value))) as {
    readonly result: string;
  };
  expect(result).toMatch(/^(?:allow|deny)$/);
  expect(rest).toEqual({}); // nothing like `is_superuser`
  return result === "allow";
};

const BROKERS: readonly Broker[] = [
  {
    name: "RabbitMQ",
    comesIn: async (username, password, client_id = username) =>
      (await form("rabbitmq/user", { username, password, vhost: "/", client_id })) &&
      (await form("rabbitmq/vhost", { username, vhost: "/", ip: "127.0.0.1", tags: "", client_id })),
    may: async (username, permission, topic) => {
      // As it writes MQTT's topics and wildcards for AMQP.
      const routing_key = topic.replaceAll("/", ".").replaceAll("+", "*");
      return await form("rabbitmq/topic", {
        ...{ username, vhost: "/", resource: "topic", name: "amq.topic", permission, tags: "", routing_key },
        ...{ "variable_map.client_id": username, "variable_map.username": username, "variable_map.vhost": "/" },
      });
    },
  },
  {
    name: "EMQX",
    comesIn: (username, password, clientid = username) => json("emqx/user", { username, password, clientid }),
    may: (username, action, topic) =>
      json("emqx/topic", { username, topic, action: action === "read" ? "subscribe" : "publish" }),
  },
];

describe.each(BROKERS)("$name asks", (broker) => {
  test("a device comes in with a token of its own, once", async () => {
    const token = tokenOf(device);
    expect(await broker.comesIn(user, token)).toBe(true);
    expect(await broker.comesIn(user, token)).toBe(false);
    expect(await broker.comesIn(user, tokenOf(device))).toBe(true);
  });

  test("a token that is a minute old, or of the time to come, is refused", async () => {
    for (const [seconds, isTaken] of [
      [-70, false],
      [-50, true],
      [50, true],
      [70, false],
    ] as const) {
      expect(await broker.comesIn(user, tokenOf(device, { time: clock.now() + seconds * 1000 }))).toBe(isTaken);
    }
  });

  test("another's token, a client's, a stranger's and one for another directory are refused", async () => {
    const other = await world.activated(`@other${count}`, "mygateway", "device");
    expect(await broker.comesIn(user, tokenOf(other))).toBe(false);
    expect(await broker.comesIn(atBroker(client), tokenOf(client))).toBe(false);
    const stranger = newPerson(parseName("@stranger"), parseMember("mygateway"), "device");
    expect(await broker.comesIn(atBroker(stranger), tokenOf(stranger))).toBe(false);
    // The device's name with keys that its owner never bound.
    const impostor = { ...device, x25519: X25519PrivateKey.generate(suite, random) };
    expect(await broker.comesIn(user, tokenOf(impostor))).toBe(false);
    const elsewhere = X25519PrivateKey.generate(suite, random).publicKey;
    expect(await broker.comesIn(user, tokenOf(device, { recipient: elsewhere }))).toBe(false);
  });

  test("a device that its owner has revoked is refused", async () => {
    await putStatements(world.client(), device.x25519, [revocation(device.owner, device.binding)], {
      signal: patience(),
    });
    expect(await broker.comesIn(user, tokenOf(device))).toBe(false);
  });

  test("what is no token is refused: nothing, noise, one that was changed, and a message that says something else", async () => {
    const token = tokenOf(device);
    const changed = `${token.slice(0, -2)}${token.endsWith("AA") ? "BA" : "AA"}`;
    const hello = seal(device, LINK.goodbye, new Uint8Array(0));
    const withBody = seal(device, LINK.brokerToken, random(1));
    const noise = Buffer.from(random(130)).toString("base64url");
    for (const password of ["", "x", noise, changed, `${token}=`, `${token} `, "A".repeat(3000), hello, withBody]) {
      expect(await broker.comesIn(user, password), password).toBe(false);
    }
    expect(await broker.comesIn("", token)).toBe(false);
    expect(await broker.comesIn("sshnp-directory", token)).toBe(false);
    expect(await broker.comesIn(user.toUpperCase(), token)).toBe(false);
    expect(await broker.comesIn(user, token)).toBe(true); // none of this has used it up
  });

  test("a client id that is not its own, by which it would throw another one out, is refused", async () => {
    const token = tokenOf(device);
    expect(await broker.comesIn(user, token, atBroker(client))).toBe(false);
    expect(await broker.comesIn(user, token, "sshnpdirectory00000000")).toBe(false);
    expect(await broker.comesIn(user, token, "")).toBe(false);
  });

  test("a device reads its own topic, and writes to the directory's; nothing else", async () => {
    const up = directoryTopic(suite, world.address.fingerprint);
    const replica = replicaTopic(suite, world.address.fingerprint, random(16));
    const others = deviceTopic(atBroker(client));
    const own = deviceTopic(user);
    expect(await broker.may(user, "read", own)).toBe(true);
    for (const topic of [up, replica]) expect(await broker.may(user, "write", topic)).toBe(true);
    for (const topic of [others, up, replica, "#", "+/+/+", "sshnp/d/+", "sshnp/d/#", `${own}/#`, `$share/x/${own}`]) {
      expect(await broker.may(user, "read", topic), topic).toBe(false);
    }
    // As the directory it publishes to nobody, nor under another directory's name.
    for (const topic of [own, others, `${up}/x`, `${replica}/x`, replica.slice(0, -1), "$SYS/broker", "sshnp/u/+"]) {
      expect(await broker.may(user, "write", topic), topic).toBe(false);
    }
    const foreign = `SHA256:${"A".repeat(43)}`;
    expect(await broker.may(user, "write", directoryTopic(suite, foreign))).toBe(false);
    for (const somebody of ["", "#", "sshnp-directory", `${user}/`, "."]) {
      expect(await broker.may(somebody, "read", deviceTopic(somebody)), somebody).toBe(false);
      expect(await broker.may(somebody, "write", up), somebody).toBe(false);
    }
  });
});

describe("RabbitMQ asks about its own things:", () => {
  const of = (name: string, resource: string, permission: string) =>
    form("rabbitmq/resource", { username: user, vhost: "/", resource, name, permission, tags: "", client_id: user });

  test("a device has the queue of its subscription, and uses the exchange of all topics", async () => {
    for (const permission of ["configure", "read", "write"]) {
      expect(await of(`mqtt-subscription-${user}qos1`, "queue", permission)).toBe(true);
      expect(await of(`mqtt-subscription-${atBroker(client)}qos1`, "queue", permission)).toBe(false);
      expect(await of("amq.direct", "exchange", permission)).toBe(false);
      expect(await of("", "exchange", permission)).toBe(false);
      expect(await of("amq.topic", "exchange", permission)).toBe(permission !== "configure");
    }
  });

  test("a routing key with a slash is no topic of MQTT's", async () => {
    const routing_key = deviceTopic(user);
    expect(await form("rabbitmq/topic", { username: user, permission: "read", routing_key })).toBe(false);
  });
});

test("EMQX asks about an action that it does not know: no", async () => {
  const topic = directoryTopic(suite, world.address.fingerprint);
  for (const action of ["constructor", "toString", "__proto__", "write", "", 1, ["publish"]]) {
    expect(await json("emqx/topic", { username: user, topic, action }), String(action)).toBe(false);
  }
});

test("what is no question is answered with no, or with 404, and 429 when it comes too often", async () => {
  const { port } = world.directory;
  const at = `http://127.0.0.1:${port}/v1/mqtt`;
  for (const body of [
    "",
    "null",
    "[]",
    '{"username":1}',
    `{"username":["${user}"]}`,
    '{"__proto__":{"username":"x"}}',
  ]) {
    expect(await ask("emqx/user", "application/json", body)).toBe('{"result":"deny"}');
    expect(await ask("rabbitmq/user", "application/x-www-form-urlencoded", body)).toBe("deny");
  }
  const long = `username=${user}&password=${tokenOf(device)}&more=${"x".repeat(5000)}`;
  expect(await ask("rabbitmq/user", "application/x-www-form-urlencoded", long)).toBe("deny");
  for (const path of ["", "rabbitmq", "rabbitmq/", "constructor", "rabbitmq/user/x", "../keys"]) {
    const { status } = await fetch(`${at}/${path}`, { method: "POST", body: "" });
    expect(status, path).toBe(404);
  }

  const { keyring } = world.directory;
  const freshness = await Freshness.load({ store: world.store, random, onError: () => {} });
  const few = { perSecond: 1, burst: 3 };
  const turnedAway: string[] = [];
  const access = new BrokerAccess({
    ...{ suite, clock, keyring, freshness, store: world.store, limiter: new AddressLimiter(few, few) },
    observer: { turnedAway: (why) => void turnedAway.push(why) },
  });
  const server = createServer((request, response) => void access.serve(request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const question = async (password: string): Promise<number | string> => {
    const { port: own } = server.address() as AddressInfo;
    const body = new URLSearchParams({ username: user, password });
    const response = await fetch(`http://127.0.0.1:${own}/v1/mqtt/rabbitmq/user`, { method: "POST", body });
    return response.ok ? await response.text() : response.status;
  };
  try {
    // What is answered with yes costs nothing: a broker asks for all its devices.
    for (let i = 0; i < 10; i += 1) expect(await question(tokenOf(device))).toBe("allow");
    for (let i = 0; i < 3; i += 1) expect(await question("x")).toBe("deny");
    expect(turnedAway).toEqual([]);
    expect(await question(tokenOf(device))).toBe(429);
    expect(turnedAway).toEqual(["broker question"]);
    clock.leap(2000);
    expect(await question(tokenOf(device))).toBe("allow");
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a broker on this machine is answered no as often as another one, and not oftener", async () => {
  const { keyring } = world.directory;
  const freshness = await Freshness.load({ store: world.store, random, onError: () => {} });
  let at = 0; // questions take a while, in which more would be allowed
  const still = { now: () => clock.now(), monotonic: () => at, every: () => () => {} };
  const access = new BrokerAccess({ suite, clock: still, keyring, freshness, store: world.store });
  const server = createServer((request, response) => void access.serve(request, response));
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const { port: own } = server.address() as AddressInfo;
  const refused = async (times: number): Promise<number> => {
    let refusals = 0;
    for (let left = times; left > 0; left -= 100) {
      const asked = Array.from({ length: Math.min(100, left) }, async () => {
        const response = await fetch(`http://127.0.0.1:${own}/v1/mqtt/rabbitmq/user?username=x`);
        await response.text();
        return response.status;
      });
      for (const status of await Promise.all(asked)) if (status === 429) refusals += 1;
    }
    return refusals;
  };
  try {
    expect(await refused(BROKER_DENIALS_BURST)).toBe(0);
    expect(await refused(10)).toBe(10);
    at += 1000;
    expect(await refused(BROKER_DENIALS_PER_SECOND + 10)).toBe(10);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});

test("a directory without a broker answers no broker", async () => {
  await using plain = await World.start();
  const { status } = await fetch(`http://127.0.0.1:${plain.directory.port}/v1/mqtt/emqx/user`, { method: "POST" });
  expect(status).toBe(404);
});

function atBroker(person: Pick<Person, "name" | "member">): string {
  return deviceAtBroker(suite, world.address.fingerprint, person);
}

function directoryKey() {
  const [key] = world.directory.keyring.sealing(clock.now());
  if (key === undefined) throw new Error("no key");
  return key.publicKey;
}

function tokenOf({ x25519: sender }: Pick<Person, "x25519">, { time = clock.now(), recipient = directoryKey() } = {}) {
  return brokerToken({ suite, random, directoryTime: time }, { sender, recipient });
}

function seal({ x25519: sender }: Person, type: number, body: Uint8Array): string {
  const freshness = { kind: "time", time: clock.now() } as const;
  const parties = { sender, recipient: directoryKey() };
  const { bytes } = sealMessage(suite, random, parties, { freshness, id: random(16), type, body });
  return Buffer.from(bytes).toString("base64url");
}
