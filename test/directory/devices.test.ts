import { setImmediate as turn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { type DeviceEntry, listDevices, listRendezvous } from "../../directory/client.ts";
import { memberOperation } from "../../directory/records.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type MemberName, parseMember, parseName } from "../../keys/names.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { DEVICE_LIST_MS, DEVICE_LISTS_BURST, DEVICES_AT_ONCE } from "../../protocol/limits.ts";
import { encodeListDevices } from "../../protocol/messages/devices.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { delegation as delegationOf, policy, rebinding, revocation } from "../support/later-statements.ts";
import { only, rest, send, TestLink } from "./streams.ts";
import { newPerson, patience, type Person, putMessage, random, suite, TestClock, World } from "./world.ts";

/** Has what is to end an answer that takes too long, and can stand still. */
class WatchedClock extends TestClock {
  endOfListing: (() => void) | undefined;
  /** Where it stands still. */
  stopped: number | undefined;

  override monotonic(): number {
    return this.stopped ?? super.monotonic();
  }

  override every(ms: number, action: () => void): () => void {
    if (ms === DEVICE_LIST_MS) this.endOfListing = action;
    return super.every(ms, action);
  }
}

const clock = new WatchedClock();
let world: World;
let alice: Person;
let bob: Person;
let gateway: Person;
beforeAll(async () => {
  world = await World.start({ clock });
  alice = await world.activated("@alice", "laptop", "client");
  bob = await world.activated("@bob", "laptop", "client");
  gateway = await world.activated("@acme", "gw1", "device");
});
afterAll(() => world[Symbol.asyncDispose]());

describe("who is online", () => {
  test("is told with its version and since when, then as offline with the time it was last seen; clients are not listed", async () => {
    await join(another(gateway, "laptop", "client"));
    expect(await list(alice, gateway)).toEqual([{ member: "gw1", state: "never seen" }]);
    const before = clock.now();
    const link = await TestLink.open(world, gateway);
    const [online] = await list(alice, gateway);
    expect(online).toEqual({ member: "gw1", state: "online", since: expect.any(Number) as number, version: "0.1.0" });
    expect(sinceOf(online)).toBeGreaterThanOrEqual(before);
    while ((await world.store.lastSeen(gateway)) === undefined) await turn(); // within a second, or a killed directory forgets it
    await link.close();
    const [offline] = await list(alice, gateway);
    if (offline?.state !== "offline") expect.fail(offline?.state);
    expect(offline.lastSeen).toBeGreaterThanOrEqual(before);
  });
});

describe("who may see what", () => {
  test("without a policy every client sees the devices; with one, those that any grant lets it reach, whenever and for whatever", async () => {
    const house = await world.activated("@house", "door", "device");
    for (const name of ["shed", "spare"]) await join(another(house, name, "device"));
    expect(await members(alice, house)).toEqual(["door", "shed", "spare"]);
    expect(await members(bob, house)).toEqual(["door", "shed", "spare"]);
    const grants = [
      "{from: ['@alice/laptop'], to: [door], services: ['tcp:10.0.0.1:80'], expires: 2020-01-01}",
      "{from: ['@alice'], to: ['sh*'], services: [ssh], logins: [root], hours: 'sun 03:00-03:01 UTC'}",
    ];
    await put(house, policyOf(house, grants));
    expect(await members(alice, house)).toEqual(["door", "shed"]);
    expect(await members(bob, house)).toEqual([]);
  });

  test("a name that is unknown, one that hides all its devices, one that has none and one that is not activated look the same", async () => {
    const hidden = await world.activated("@hidden", "gw1", "device");
    await put(hidden, policyOf(hidden, []));
    const waiting = parseName("@waiting");
    await world.addName(waiting);
    for (const name of [hidden.name, alice.name, waiting, parseName("@nobody")]) {
      expect(await frames(bob, name)).toEqual([{ type: "done" }]);
    }
  });

  test("a device that is revoked, or was made by a token that is, is not listed", async () => {
    const farm = await world.activated("@farm", "pump", "device");
    const mill = another(farm, "mill", "device");
    await join(mill);
    await put(farm, revocation(farm.owner, mill.binding, { issued: clock.now() }));
    expect(await members(alice, farm)).toEqual(["pump"]);
    const token = Ed25519PrivateKey.generate(suite, random);
    const given = {
      name: farm.name,
      id: "00112233aabbccdd",
      key: token.publicKey,
      role: "device",
      pattern: "*",
    } as const;
    const delegation = delegationOf(farm.owner, given, { issued: clock.now() });
    const barn = newPerson(farm.name, parseMember("barn"), "device", { owner: token, issued: clock.now() });
    await put(farm, delegation);
    await join(barn);
    expect(await members(alice, farm)).toEqual(["barn", "pump"]);
    await put(farm, revocation(farm.owner, delegation, { issued: clock.now() }));
    expect(await members(alice, farm)).toEqual(["pump"]);
  });

  test.each([
    ["a device", () => gateway.x25519, "E_NOT_AUTHORIZED"],
    ["nobody that it knows", () => X25519PrivateKey.generate(suite, random), "E_NOT_AUTHORIZED"],
  ])("%s is told nothing", async (_who, sender, code) => {
    const message = { type: REQUEST.listDevices, body: encodeListDevices(gateway.name) };
    expect(await only(world.client().send(sender(), message, { signal: patience() }))).toMatchObject({ code });
  });

  test("a client is told nothing once it is revoked, once its binding is over, and with keys that are not its own any more", async () => {
    const carol = await world.activated("@carol", "laptop", "client");
    const brief = another(carol, "brief", "client", clock.now() + 3_600_000);
    const rebound = another(carol, "desk", "client");
    for (const member of [brief, rebound]) await join(member);
    expect(await members(rebound, gateway)).toEqual(["gw1"]);
    const next = X25519PrivateKey.generate(suite, random);
    const { name, member, role } = rebound;
    const says = { name, member, role, x25519: next.publicKey, ed25519: rebound.ed25519.publicKey };
    const moved = { ...rebound, x25519: next };
    await put(moved, rebinding(carol.owner, says, rebound.binding, { issued: clock.now() }));
    expect(await refusal(rebound)).toBe("E_NOT_AUTHORIZED");
    expect(await members(moved, gateway)).toEqual(["gw1"]);
    await put(carol, revocation(carol.owner, carol.binding, { issued: clock.now() }));
    expect(await refusal(carol)).toBe("E_REVOKED");
    expect(await members(brief, gateway)).toEqual(["gw1"]);
    clock.advance(3_600_001);
    expect(await refusal(brief)).toBe("E_STATEMENT");
  });
});

test("a client is told the rendezvous that a ticket would name, as the root key has signed them; others are not", async () => {
  const ask = (who: Pick<Person, "x25519">) => listRendezvous(world.client(), who.x25519, { signal: patience() });
  expect(await ask(alice)).toEqual([]);
  for (const number of [1, 2, 3, 4]) await world.rendezvous(`rz${number}`, [`tcp://127.0.0.1:${7800 + number}`]);
  const named = await ask(alice);
  expect(named).toHaveLength(3);
  for (const { rendezvous, addresses } of named) {
    expect(addresses).toEqual([`tcp://127.0.0.1:${7800 + Number(rendezvous.slice(2))}`]);
  }
  await expect(ask(gateway)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
  const longer = { type: REQUEST.listRendezvous, body: Uint8Array.of(0) };
  expect(await rest(send(world, alice, longer))).toEqual([{ type: "refused", code: "E_PROTOCOL", detail: 0 }]);
});

describe("a name of thousands", () => {
  const COUNT = 3_000;
  let fleet: Person;
  beforeAll(async () => {
    fleet = await world.activated("@fleet", "d0000", "device");
    const template = await world.store.member(fleet);
    const operations = Array.from({ length: COUNT - 1 }, (_, i) => {
      const member = parseMember(`d${String(i + 1).padStart(4, "0")}`);
      const binding = { ...fleet.binding, text: fleet.binding.text.replace("/d0000", `/${member}`) };
      return memberOperation(
        { name: fleet.name, member },
        { ...(template ?? expect.fail()), binding, newest: binding },
      );
    });
    await world.store.database.write("acknowledged", operations);
  });

  test("comes in pages and in order, and others have their turns", async () => {
    let turns = 0;
    const over = new AbortController();
    const others = (async () => {
      for (; !over.signal.aborted; turns += 1) await turn();
    })();
    const pages = await frames(alice, fleet.name);
    over.abort();
    await others;
    expect(pages).toHaveLength(Math.ceil(COUNT / DEVICES_AT_ONCE) + 1);
    expect(turns).toBeGreaterThan(pages.length);
    const all = await members(alice, fleet);
    expect(all).toHaveLength(COUNT);
    expect(all).toEqual([...all].sort());
  });

  test("while one list is under way its client gets no second one, and it ends after DEVICE_LIST_MS", async () => {
    const { store } = world;
    const honest = store.lastSeen.bind(store);
    const begun = gate();
    const over = gate();
    store.lastSeen = async (device) => {
      begun.open();
      await over.opened;
      return await honest(device);
    };
    const first = frames(alice, fleet.name);
    const cut = expect(first).rejects.toMatchObject({ code: "E_DIRECTORY" });
    await begun.opened;
    expect(await frames(alice, gateway.name)).toEqual([{ type: "refused", code: "E_BUSY", detail: 1000 }]);
    clock.endOfListing?.();
    await cut;
    store.lastSeen = honest;
    over.open();
    expect(await members(alice, fleet)).toHaveLength(COUNT); // it waits until the other one is over
  });
});

test("a client name that asks too often is told when to ask again, and that is nobody else's trouble", async () => {
  const dave = await world.activated("@dave", "laptop", "client");
  const second = another(dave, "desk", "client");
  await join(second);
  clock.stopped = clock.monotonic();
  for (let i = 0; i < DEVICE_LISTS_BURST; i += 1) await frames([dave, second][i % 2] ?? dave, gateway.name);
  expect(await frames(dave, gateway.name)).toEqual([{ type: "refused", code: "E_RATE", detail: 1000 }]);
  expect(await members(alice, gateway)).toEqual(["gw1"]);
  clock.stopped = undefined;
  clock.advance(60_000);
  expect(await members(dave, gateway)).toEqual(["gw1"]);
});

test("a directory that keeps the connection open and gives no answer is given up", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  try {
    const silent = async function* (
      _sender: unknown,
      _message: unknown,
      { signal }: { readonly signal: AbortSignal },
    ): AsyncGenerator<Frame, void, void> {
      vi.advanceTimersByTime(DEVICE_LIST_MS);
      await turn();
      signal.throwIfAborted();
      yield { type: "done" };
    };
    const listing = listDevices({ send: silent }, alice.x25519, gateway.name, { signal: new AbortController().signal });
    await expect(listing).rejects.toMatchObject({ code: "E_TIMEOUT" });
  } finally {
    vi.useRealTimers();
  }
});

test.each([
  ["twice the same", [["a"], ["a"]]],
  ["out of order", [["b", "a"]]],
])("a directory that lists %s is not believed", async (_what, pages) => {
  const answer = async function* (): AsyncGenerator<Frame, void, void> {
    for (const page of pages) {
      const devices = page.map((member): DeviceEntry => ({ member: member as MemberName, state: "never seen" }));
      yield { type: "devices", devices };
      await turn();
    }
    yield { type: "done" };
  };
  const listing = listDevices({ send: answer }, alice.x25519, gateway.name, { signal: patience() });
  await expect(listing).rejects.toMatchObject({ code: "E_PROTOCOL" });
});

function another(of: Person, member: string, role: "client" | "device", expires: number | null = null): Person {
  const { name, owner, statement } = of;
  return newPerson(name, parseMember(member), role, { owner, statement, issued: clock.now(), expires });
}

function policyOf({ owner, name }: Person, grants: readonly string[]): SignedText {
  const lines = grants.length === 0 ? " []" : `\n${grants.map((grant) => `  - ${grant}\n`).join("")}`;
  return policy(owner, name, undefined, { policy: `version: 1\ngrants:${lines}`, issued: clock.now() });
}

async function join(member: Person): Promise<void> {
  await put(member, member.binding);
}

async function put(sender: Person, ...statements: readonly SignedText[]): Promise<void> {
  expect(await only(send(world, sender, putMessage(...statements)))).toMatchObject({ type: "logged" });
}

async function list(client: Person, { name }: Pick<Person, "name">): Promise<DeviceEntry[]> {
  return await listDevices(world.client(), client.x25519, name, { signal: patience() });
}

async function members(client: Person, of: Pick<Person, "name">): Promise<string[]> {
  return (await list(client, of)).map(({ member }) => member);
}

async function frames(client: Person, name: Person["name"]): Promise<Frame[]> {
  return await rest(send(world, client, { type: REQUEST.listDevices, body: encodeListDevices(name) }));
}

async function refusal(client: Person): Promise<unknown> {
  const [frame] = await frames(client, gateway.name);
  return frame?.type === "refused" ? frame.code : frame;
}

function sinceOf(entry: DeviceEntry | undefined): number {
  return entry?.state === "online" ? entry.since : expect.fail();
}

function gate(): { readonly open: () => void; readonly opened: Promise<void> } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}
