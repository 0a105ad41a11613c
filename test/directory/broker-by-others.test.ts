import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { type Link, type LinkEvent, openBrokerLink } from "../../directory/client.ts";
import type { SharedDatabase } from "../../directory/postgres/shared.ts";
import { encodeReplicaMessage, parseReplicaMessage, type ReplicaMessage } from "../../directory/replicas/messages.ts";
import { WAKE_WATCHES } from "../../directory/tables.ts";
import { hex } from "../../keys/bytes.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { REPLICA_RENEW_MS } from "../../protocol/limits.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { revocation } from "../support/later-statements.ts";
import { freePort } from "../support/free-port.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { MovableAddress } from "../support/movable-address.ts";
import { Postgres } from "../support/postgres.ts";
import { next, only, rest, send } from "./streams.ts";
import { NO_POLICY, type Person, putMessage, random, sessionMessage, TestClock, World } from "./world.ts";

/* Two directories on one PostgreSQL: `one` has lost the broker at which the device waits, whose way there is its own. */

let postgres: Postgres;
let broker: Mosquitto;
let nowhere: number;
/** The ways of the two to the broker. */
let ways: { readonly one: MovableAddress; readonly other: MovableAddress };
let one: World;
let other: World;
let client: Person;
let device: Person;
let link: Link;
/** What the device has heard. */
let events: LinkEvent[];
let count = 0;

beforeAll(async () => {
  postgres = await Postgres.start();
  process.env["SSHNP_TEST_POSTGRES"] = postgres.serverUrl;
  broker = await startMosquitto({ isQuiet: true });
  nowhere = await freePort();
  ways = { one: await MovableAddress.of(broker.port), other: await MovableAddress.of(broker.port) };
  const by = ({ port }: MovableAddress) => ({ broker: { url: new URL(`mqtt://127.0.0.1:${port}`) } });
  one = await World.start(by(ways.one));
  other = await World.beside(one, by(ways.other));
  client = await one.activated("@client", "laptop", "client");
}, 60_000);
afterAll(async () => {
  await other[Symbol.asyncDispose]();
  await one[Symbol.asyncDispose]();
  await Promise.all([ways.one, ways.other].map((way) => way[Symbol.asyncDispose]()));
  await broker[Symbol.asyncDispose]();
  await postgres[Symbol.asyncDispose]();
});
beforeEach(async () => {
  count += 1;
  device = await one.activated(`@device${count}`, "mygateway", "device");
  await one.rendezvous(`rz${count}`);
  await other.directory.registry.refresh();
  await lead(other, ways.other, broker.port);
  link = await open();
  await expect.poll(() => other.directory.presence.find(device)).toBeDefined();
  await lead(one, ways.one, nowhere);
});
afterEach(() => link.close());

test("a request there is put to the device by the other, with the one ticket, and its answer comes back", async () => {
  expect(await one.directory.presence.about(device)).toMatchObject({ version: "0.1.0" });
  for (let i = 0; i < 3; i++) await isAsked(one);
  const [report, word] = [await one.directory.readiness.look(), await fetch(new URL("/readyz", one.address.url))];
  expect(word.status).toBe(200);
  expect(JSON.stringify(report)).toContain("the MQTT broker is not connected");
});

test("what waits there is delivered when its device comes to the other, and when the other comes to the broker", async () => {
  link.close();
  await expect.poll(() => one.directory.presence.find(device)).toBeUndefined();
  const early = await waiting();
  link = await open();
  await isAnswered(early);

  await loseBoth();
  const late = await waiting();
  await lead(other, ways.other, broker.port);
  await isAnswered(late);
});

test("what is stated there the device is told: of a client that it watches, and of itself", async () => {
  const watched = await one.activated(`@watched${count}`, "laptop", "client");
  link.watch([watched]);
  await expect.poll(told).toContain(watched.binding.text);
  for (const revoked of [watched, device]) {
    const revoking = revocation(revoked.owner, revoked.binding);
    await only(send(one, revoked, putMessage(revoking)));
    await expect.poll(told).toContain(revoking.text);
  }
});

test("what the other was to tell and could not is told all the same", async () => {
  const watched = await one.activated(`@watched${count}`, "laptop", "client");
  link.watch([watched]);
  await expect.poll(told).toContain(watched.binding.text);
  const { database } = other.store;
  const entriesAfter = database.entriesAfter.bind(database);
  let failed = 0;
  const reads = vi.spyOn(database, "entriesAfter").mockImplementation(async (after, prefix, limit) => {
    if (!prefix.startsWith(WAKE_WATCHES.prefix) || failed++ > 0) return await entriesAfter(after, prefix, limit);
    throw new UnavailableError("E_STORAGE", "The database is away.");
  });
  const revoking = revocation(watched.owner, watched.binding);
  await only(send(one, watched, putMessage(revoking)));
  expect(failed).toBeGreaterThan(0);
  await expect.poll(told).toContain(revoking.text);
  reads.mockRestore();
});

test("one that is gone while it tells devices what is stated is not waited for", async () => {
  await loseBoth();
  const pretending = await pretenders(1, (message) => {
    if (message.type === "saidByBroker") void pretending[Symbol.asyncDispose]();
  });
  await expect.poll(() => one.directory.presence.find(device)).toBeDefined();
  const stated = await only(send(one, device, putMessage(revocation(device.owner, device.binding))));
  expect(stated).toMatchObject({ type: "logged" });
});

test("when the broker is back there, it asks the device itself", async () => {
  await lead(one, ways.one, broker.port);
  await lead(other, ways.other, nowhere);
  await isAsked(one);
  await isAsked(other); // the other way round
});

test("of others that are gone, or cannot do it after all, two are asked, the client is told, and whoever can is asked next", async () => {
  await loseBoth();
  let asked = 0;
  const failing = await pretenders(3, (message, shared) => {
    if (message.type !== "wakeByBroker") return;
    asked += 1;
    if (asked === 1) return; // as one that is gone while its lease lasts
    void shared.send(hex(message.from), encodeReplicaMessage({ type: "notByBroker", id: message.id }));
  });
  await expect.poll(() => one.directory.presence.find(device)).toBeDefined();
  expect(await isOffline()).toEqual(["ticket", "refused"]);
  expect(asked).toBe(2);
  await failing[Symbol.asyncDispose]();
  await loseBoth();
  await lead(other, ways.other, broker.port);
  await expect.poll(() => one.directory.presence.find(device)).toBeDefined();
  await isAsked(one);
});

test("one that cannot tell one device is asked for every other one all the same", async () => {
  const second = await one.activated(`@second${count}`, "mygateway", "device");
  const secondLink = await open(second);
  await expect.poll(() => other.directory.presence.find(second)).toBeDefined();
  await loseBoth();
  const asked: string[] = [];
  await using _ = await pretenders(1, (message, shared) => {
    if (message.type !== "wakeByBroker") return;
    asked.push(message.device.name);
    const type = message.device.name === device.name ? "notByBroker" : "byBroker";
    void shared.send(hex(message.from), encodeReplicaMessage({ type, id: message.id }));
  });
  const { presence } = one.directory;
  await expect.poll(() => presence.find(device)).toBeDefined();
  const find = presence.find.bind(presence);
  const found = new Promise<unknown[]>((resolve) => {
    vi.spyOn(presence, "find")
      .mockImplementationOnce(() => find(device)) // as the request comes
      .mockImplementationOnce(async () => {
        resolve([await find(device), await find(second)]); // as the no has come
        return undefined;
      });
  });
  expect(await isOffline()).toEqual(["ticket", "refused"]);
  expect(await found).toEqual([undefined, expect.anything()]);
  const frames = send(one, client, sessionMessage(client, second));
  await next(frames, "ticket");
  await expect.poll(() => asked).toEqual([device.name, second.name]);
  await frames.return(undefined);
  secondLink.close();
});

test("a way that is lost and back again between two of a directory's words is taken by what waits for it", async () => {
  const second = await one.activated(`@second${count}`, "mygateway", "device");
  const secondLink = await open(second);
  await expect.poll(() => other.directory.presence.find(second)).toBeDefined();
  await loseBoth();
  const asked: string[] = [];
  await using pretending = await pretenders(1, (message, shared) => {
    if (message.type !== "wakeByBroker") return;
    asked.push(message.device.name);
    if (asked.length > 1) return;
    void (async () => {
      await shared.renew(hex(pretending.id), 3_600_000, false);
      await shared.send(hex(message.from), encodeReplicaMessage({ type: "notByBroker", id: message.id }));
    })();
  });
  const clock = new TestClock();
  await using third = await World.beside(one, { clock, broker: { url: new URL(`mqtt://127.0.0.1:${nowhere}`) } });
  const { presence, registry } = third.directory;
  await registry.refresh();
  clock.leap(REPLICA_RENEW_MS);
  await expect.poll(() => presence.find(second)).toBeDefined();
  const first = send(third, client, sessionMessage(client, device));
  await next(first, "ticket");
  await expect.poll(() => presence.find(second)).toBeUndefined();
  const frames = send(third, client, sessionMessage(client, second, { waitSeconds: 600 }));
  await next(frames, "waiting");
  await one.store.database.shared?.renew(hex(pretending.id), 3_600_000, true);
  clock.leap(REPLICA_RENEW_MS);
  await expect.poll(() => asked).toContain(second.name);
  for (const each of [first, frames]) await each.return(undefined);
  secondLink.close();
});

test("a store that fails while another one is looked for refuses that one request, and ends nothing else", async () => {
  await loseBoth();
  let find: { readonly mockRestore: () => void } | undefined;
  await using pretending = await pretenders(1, (message, shared) => {
    if (message.type !== "wakeByBroker") return;
    const failure = new UnavailableError("E_STORAGE", "The database is away.");
    find = vi.spyOn(one.directory.presence, "find").mockRejectedValueOnce(failure);
    void shared.send(hex(message.from), encodeReplicaMessage({ type: "notByBroker", id: message.id }));
  });
  await expect.poll(() => one.directory.presence.find(device)).toBeDefined();
  const frames = await rest(send(one, client, sessionMessage(client, device)));
  expect(frames.at(-1)).toMatchObject({ type: "refused", code: "E_BUSY" });
  find?.mockRestore();
  expect(pretending.id).toBeDefined();
});

test("what one is asked for that has no broker either, it hands to nobody", async () => {
  await loseBoth();
  const heard: ReplicaMessage[] = [];
  const noted = (message: ReplicaMessage): void => {
    const isOfClient = message.type === "probeByBroker" && message.device.name === client.name;
    if (isOfClient || message.type === "notByBroker" || message.type === "byBroker") heard.push(message);
  };
  await using pretending = await pretenders(1, noted);
  await expect.poll(() => other.directory.presence.find(device)).toBeDefined(); // it would ask that one
  const { shared } = one.store.database;
  const id = random(16);
  const message = encodeReplicaMessage({ type: "probeByBroker", from: pretending.id, id, device: client });
  for (const name of await directories()) if (name !== hex(pretending.id)) await shared?.send(name, message);
  await expect.poll(() => heard.length).toBe(2);
  const refused = { type: "notByBroker", id };
  expect(heard).toEqual([refused, refused]);
});

test("a directory of the version before, which says nothing of the broker, is not asked", async () => {
  await loseBoth();
  await sql("INSERT INTO sshnp_replica VALUES ('0bad', now() + interval '1 hour')");
  try {
    expect(await isOffline()).toEqual(["refused"]);
  } finally {
    await sql("DELETE FROM sshnp_replica WHERE id = '0bad'");
  }
});

/** The statements about members that the device has been told. */
function told(): string[] {
  return events.flatMap((event) => {
    if (event.type === "changed") return [event.changed.statements.member.text];
    return event.type === "own" ? [event.own.statements.member.text] : [];
  });
}

/** Has a directory reach its broker at that port of this machine, or not. */
async function lead(world: World, way: MovableAddress, port: number): Promise<void> {
  const isThere = port === broker.port;
  way.target = port;
  if (!isThere) way.cut();
  else if (world.directory.waking?.isConnected !== true) {
    await world.pause(); // it would take its time to look again
    await world.resume();
  }
  await expect.poll(() => world.directory.waking?.isConnected, { timeout: 20_000 }).toBe(isThere);
  const connected = [one, other].filter(({ directory }) => directory.waking?.isConnected === true).length;
  await expect.poll(() => directories(`WHERE at_broker AND ${IS_REAL}`)).toHaveLength(connected);
}

/** Neither is at the broker, which both know. */
async function loseBoth(): Promise<void> {
  await lead(other, ways.other, nowhere);
  for (const world of [one, other]) await expect.poll(() => world.directory.presence.find(device)).toBeUndefined();
}

/** Pretenders have their lease once for all. */
const IS_REAL = "until < now() + interval '1 minute'";

/** Directories that say that they are at the broker, and do what they like with what they hear. */
async function pretenders(number: number, hears: (message: ReplicaMessage, shared: SharedDatabase) => void) {
  const { shared } = other.store.database;
  if (shared === undefined) throw new Error("that is no shared store");
  const stop = new AbortController();
  const ids = Array.from({ length: number }, () => random(16));
  const ended = await Promise.all(
    ids.map(async (id) => {
      await shared.renew(hex(id), 3_600_000, true);
      return await new Promise<{ readonly end: Promise<void> }>((resolve) => {
        const end: Promise<void> = shared.listen(
          hex(id),
          {
            message: (bytes) => hears(parseReplicaMessage(bytes), shared),
            listening: () => setImmediate(() => resolve({ end })),
            failed: () => {},
          },
          stop.signal,
        );
      });
    }),
  );
  return {
    id: ids[0] ?? random(16),
    async [Symbol.asyncDispose]() {
      stop.abort();
      for (const id of ids) await shared.leave(hex(id));
      for (const { end } of ended) await end;
    },
  };
}

/** The frames of a request at `one` whose client is told that the device is offline. */
async function isOffline(): Promise<Frame["type"][]> {
  const frames = await rest(send(one, client, sessionMessage(client, device)));
  expect(frames.at(-1)).toMatchObject({ type: "refused", code: "E_OFFLINE" });
  return frames.map(({ type }) => type);
}

async function waiting() {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const frames = send(one, client, message);
  await next(frames, "waiting");
  return { message, frames };
}

async function isAnswered({ message, frames }: Awaited<ReturnType<typeof waiting>>): Promise<void> {
  const { ticket } = await next(frames, "ticket");
  expect(await rest(frames)).toEqual([{ type: "answer", message2: message.sid }]);
  const asked = events.filter((event) => event.type === "notify").map(({ notify }) => notify);
  const tickets = asked
    .filter(({ prologue }) => hex(prologue.sid) === hex(message.sid))
    .map(({ ticket: each }) => each);
  expect(tickets.length).toBeGreaterThan(0);
  for (const each of tickets) expect(each).toEqual(ticket);
}

async function isAsked(world: World): Promise<void> {
  const message = sessionMessage(client, device);
  await isAnswered({ message, frames: send(world, client, message) });
}

/** Comes to the broker, and answers what it is asked, as often as it is, with the session's id. */
async function open({ name, member, x25519: sender }: Person = device): Promise<Link> {
  const opened = await openBrokerLink({
    ...{ client: one.client(), sender, broker: { url: new URL(broker.url) }, signal: new AbortController().signal },
    hello: { name, member, version: "0.1.0", names: [], policyHash: NO_POLICY },
  });
  const heard: LinkEvent[] = [];
  events = heard;
  void (async () => {
    for await (const event of opened.events) {
      heard.push(event);
      if (event.type !== "notify") continue;
      const { sid } = event.notify.prologue;
      opened.answer({ sid, message2: sid });
    }
  })().catch(() => {}); // what is missed shows elsewhere
  return opened;
}

/** Ids of directories that are there. */
async function directories(where = ""): Promise<string[]> {
  const ids = await sql(`SELECT id FROM sshnp_replica ${where}`);
  return ids.split("\n").filter((id) => id !== "");
}

async function sql(statement: string): Promise<string> {
  const database = "SELECT datname FROM pg_database WHERE datname LIKE 'np_%' ORDER BY oid LIMIT 1";
  return await postgres.sql(statement, await postgres.sql(database));
}
