import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Link, type LinkEvent, openBrokerLink, putStatements } from "../../directory/client.ts";
import type { Name } from "../../keys/names.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { BROKER_ANSWER_MS, DEVICE_ANSWER_MS } from "../../protocol/limits.ts";
import { type Distances, distanceKey } from "../../protocol/messages/rendezvous-distances.ts";
import { policy, revocation } from "../support/later-statements.ts";
import { type Mosquitto, startMosquitto } from "../support/mosquitto.ts";
import { next, only, rest, send } from "./streams.ts";
import {
  activate,
  newPerson,
  NO_POLICY,
  patience,
  type Person,
  random,
  sessionMessage,
  suite,
  TestClock,
  type TestRendezvous,
  World,
} from "./world.ts";

/*
 * What every way to wake a device has to do: a link by WebSocket, and one by an MQTT broker. The directory is as a client and a
 * device see it; nothing here looks into it.
 */

let broker: Mosquitto;
beforeAll(async () => {
  broker = await startMosquitto();
});
afterAll(() => broker[Symbol.asyncDispose]());

interface Way {
  readonly name: string;
  open(world: World, device: Person, names?: readonly Name[]): Promise<Link>;
  /** After how long without an answer a device counts as offline. */
  readonly answerMs: number;
}

const WAYS: readonly Way[] = [
  { name: "WebSocket", open: (world, device, names = []) => world.link(device, { names }), answerMs: DEVICE_ANSWER_MS },
  {
    name: "MQTT",
    open: (world, { name, member, x25519: sender }, names = []) =>
      openBrokerLink({
        ...{ client: world.client(), sender, broker: { url: new URL(broker.url) }, signal: patience() },
        hello: { name, member, version: "0.1.0", names, policyHash: NO_POLICY },
      }),
    answerMs: BROKER_ANSWER_MS,
  },
];

describe.each(WAYS)("a device that waits by $name", (way) => {
  const { answerMs } = way;
  let clock: TestClock;
  let world: World;
  let client: Person;
  let device: Person;
  beforeEach(async () => {
    clock = new TestClock();
    world = await World.start({ clock, broker: { url: new URL(broker.url) } });
    client = await world.activated("@client", "laptop", "client");
    device = await world.activated("@device", "mygateway", "device");
    await world.rendezvous();
    return async () => {
      await world[Symbol.asyncDispose]();
    };
  });

  /** Opened once the directory serves that way. */
  const opened = async (names?: readonly Name[]): Promise<Heard> => {
    for (;;) {
      try {
        return new Heard(await way.open(world, device, names));
      } catch (error) {
        if (!/MQTT broker/.test(String(error))) throw error;
      }
    }
  };
  const ask = (options: Parameters<typeof sessionMessage>[2] = {}) => {
    const message = sessionMessage(client, device, options);
    return { message, frames: send(world, client, message) };
  };
  /** The rendezvous that a ticket names first. */
  const nearest = async (): Promise<unknown> => {
    const { rendezvous } = await next(ask().frames, "ticket");
    return (JSON.parse(rendezvous[0]?.text ?? "") as { readonly subject: unknown }).subject;
  };
  const isOnline = async () => (await world.directory.presence.find(device)) !== undefined;

  test("is online, with since when and which version; asked, it answers, and its answer comes back", async () => {
    const link = await opened();
    await expect.poll(isOnline).toBe(true);
    expect(await world.directory.presence.about(device)).toMatchObject({ version: "0.1.0" });
    const { message, frames } = ask();
    await next(frames, "ticket");
    const notify = await link.notified();
    expect(notify.prologue.sid).toEqual(message.sid);
    expect(notify.message1).toEqual(message.message1);
    const message2 = random(1200);
    link.link.answer({ sid: message.sid, message2 });
    expect((await next(frames, "answer")).message2).toEqual(message2);
  });

  test("is woken by many requests at once, each answered once", async () => {
    const link = await opened();
    const asked = Array.from({ length: 20 }, () => ask());
    const answers = asked.map(async ({ frames }) => {
      await next(frames, "ticket");
      return (await next(frames, "answer")).message2;
    });
    const sids = new Set<string>();
    for (const _ of asked) {
      const { prologue } = await link.notified();
      sids.add(Buffer.from(prologue.sid).toString("hex"));
      link.link.answer({ sid: prologue.sid, message2: Buffer.concat([prologue.sid, random(1200)]) });
    }
    expect(sids.size).toBe(20);
    for (const [i, answer] of (await Promise.all(answers)).entries()) {
      expect(answer.subarray(0, 16)).toEqual(asked[i]?.message.sid);
    }
  });

  test("gets the request that waited for it", async () => {
    const { message, frames } = ask({ waitSeconds: 60 });
    await next(frames, "waiting");
    const link = await opened();
    expect((await link.notified()).prologue.sid).toEqual(message.sid);
    await next(frames, "ticket");
  });

  test("says how far it is from rendezvous, and what it said last decides which one a ticket names first", async () => {
    const near = await world.rendezvous("near");
    const far = await world.rendezvous("far");
    const { link } = await opened();
    for (const [name, distances] of [
      ["rendezvous:near", distancesTo(near, far)],
      ["rendezvous:far", distancesTo(far, near)],
    ] as const) {
      link.tellDistances(distances);
      await expect.poll(async () => (await world.directory.presence.find(device))?.distances).toEqual(distances);
      expect(await nearest()).toBe(name);
    }
  });

  test("is known to be offline once it is closed, with when it was seen", async () => {
    const link = await opened();
    await expect.poll(isOnline).toBe(true);
    link.link.close();
    await expect.poll(isOnline).toBe(false);
    expect(await only(ask().frames)).toMatchObject({ type: "refused", code: "E_OFFLINE" });
  });

  test("that says nothing to a request counts as offline, and as online once it is there again", async () => {
    const link = await opened();
    const { frames } = ask();
    await next(frames, "ticket");
    await link.notified();
    clock.advance(answerMs + 1000);
    expect(await rest(frames)).toMatchObject([{ type: "refused", code: "E_OFFLINE" }]);
    const again = await opened();
    await expect.poll(isOnline).toBe(true);
    const { message, frames: second } = ask();
    await next(second, "ticket");
    while (Buffer.compare((await again.notified()).prologue.sid, message.sid) !== 0);
  });

  test("is replaced by a newer one of its name, and told so", async () => {
    const older = await opened();
    await expect.poll(isOnline).toBe(true);
    for (const another of [...WAYS].sort((one) => (one === way ? 1 : -1))) {
      const newer = new Heard(await another.open(world, device));
      if (another !== way) expect(await older.end()).toMatchObject({ code: "E_REPLACED" });
      const { message, frames } = ask();
      await next(frames, "ticket");
      expect((await newer.notified()).prologue.sid).toEqual(message.sid);
      newer.link.answer({ sid: message.sid, message2: random(1200) });
      await next(frames, "answer");
    }
  });

  test("hears of an owner whom it asked for when his name is activated", async () => {
    const later = parseName("@later");
    const secret = await world.addName(later);
    const link = await opened([client.name, later]);
    const texts = async () => (await link.event("names")).names.chains.flat().map(({ text }) => text);
    expect(await texts()).toEqual([client.statement.text]);
    const person = newPerson(later, parseMember("laptop"), "client");
    await activate(world.client(), person, secret);
    expect(await texts()).toEqual([person.statement.text]);
  });

  test("hears of its own statements and its name's policy, and when they change", async () => {
    const link = await opened();
    expect((await link.event("own")).own).toMatchObject({ statements: { member: device.binding }, policy: undefined });
    const first = policy(device.owner, device.name, undefined);
    await put(device, first);
    expect((await link.event("own")).own.policy).toEqual(first);
    const revoking = revocation(device.owner, device.binding);
    await put(device, revoking);
    expect((await link.event("own")).own.statements.member).toEqual(revoking);
  });

  test("hears of a client that it has sessions with, how it stands and when it is revoked", async () => {
    const link = await opened();
    link.link.watch([client]);
    expect((await link.event("changed")).changed.statements.member).toEqual(client.binding);
    const revoking = revocation(client.owner, client.binding);
    await put(client, revoking);
    expect((await link.event("changed")).changed).toMatchObject({ statements: { member: revoking } });
    link.link.watch([]);
  });

  test("that is revoked, or none, is refused", async () => {
    await put(device, revocation(device.owner, device.binding));
    await expect(opened()).rejects.toMatchObject({ code: "E_REVOKED" });
    const name = parseName("@device");
    const stranger = { ...newPerson(name, device.member, "device"), x25519: X25519PrivateKey.generate(suite, random) };
    // At a broker nobody is answered under another one's name, or that one would hear it.
    const code = way.name === "MQTT" ? "E_DIRECTORY" : "E_NOT_AUTHORIZED";
    await expect(way.open(world, stranger)).rejects.toMatchObject({ code });
    await expect(way.open(world, client)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
  });

  test("whose clock is off by an hour comes in all the same", async () => {
    clock.leap(3_600_000);
    await world.rendezvous("rz2");
    const link = await opened();
    const { frames } = ask();
    await next(frames, "ticket");
    await link.notified();
  });

  test("is woken, and heard, after the directory has new keys", async () => {
    const link = await opened();
    const { keyListSeq } = world.directory.keyring;
    clock.leap(WEEK);
    await expect.poll(() => world.directory.keyring.keyListSeq).toBeGreaterThan(keyListSeq);
    await world.rendezvous("rz2");
    const { message, frames } = ask();
    await next(frames, "ticket");
    await link.event("keyList");
    expect((await link.notified()).prologue.sid).toEqual(message.sid);
    link.link.answer({ sid: message.sid, message2: random(1200) });
    await next(frames, "answer");
  });

  const put = async (by: Person, ...texts: Parameters<typeof putStatements>[2]): Promise<void> => {
    await putStatements(world.client(), by.x25519, texts, { signal: patience() });
  };
});

/** The first one is near, the others are not. */
function distancesTo(...all: readonly TestRendezvous[]): Distances {
  return new Map(all.map(({ ed25519 }, i) => [distanceKey(ed25519.publicKey), i === 0 ? 5 : 500]));
}

const WEEK = 7 * 24 * 60 * 60_000;

/** A link as the tests read it; what is said of the device itself is passed over unless it is asked for. */
class Heard {
  readonly link: Link;
  readonly #events: AsyncIterator<LinkEvent>;

  constructor(link: Link) {
    this.link = link;
    this.#events = link.events[Symbol.asyncIterator]();
  }

  async event<Type extends LinkEvent["type"]>(type: Type): Promise<Extract<LinkEvent, { type: Type }>> {
    for (;;) {
      const { value } = (await this.#events.next()) as { value: LinkEvent | undefined };
      if (value?.type === type) return value as Extract<LinkEvent, { type: Type }>;
      if (value?.type !== "own") throw new Error(`the directory sends ${JSON.stringify(value)}`);
    }
  }

  async notified() {
    return (await this.event("notify")).notify;
  }

  async end(): Promise<unknown> {
    try {
      while ((await this.#events.next()).done !== true);
      return "closed";
    } catch (error) {
      return error;
    }
  }
}
