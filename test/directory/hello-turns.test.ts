import { EventEmitter, once } from "node:events";
import { expect, test } from "vitest";
import { HelloTurns, type Waiting } from "../../directory/hello-turns.ts";
import {
  HELLO_BACKLOG_MS,
  HELLO_TURN_MS,
  HELLOS_AT_ONCE,
  HELLOS_BESIDE_MESSAGES,
  LINK_HELLO_MS,
  RETURN_SLOT_MS,
  RETURN_SPREAD_MS,
} from "../../protocol/limits.ts";
import { connectRaw, helloBytes } from "./raw-link.ts";
import { patience, TestClock, World } from "./world.ts";

/** A hello whose judging ends when the test says so. */
class Hello implements Waiting {
  turns = 0;
  isTerminated = false;
  end: () => void = () => {};

  takeTurn(): Promise<void> {
    this.turns += 1;
    return new Promise((resolve) => (this.end = resolve));
  }

  terminate(): void {
    this.isTerminated = true;
  }
}

test("a herd's hellos are judged some at a time, in the order in which they came", async () => {
  const turns = new HelloTurns();
  const hellos = Array.from({ length: 2 * HELLOS_AT_ONCE }, () => new Hello());
  for (const hello of hellos) turns.add(hello, 0);
  const taken = (): number[] => hellos.flatMap((hello, i) => (hello.turns > 0 ? [i] : []));
  const first = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
  expect(taken()).toEqual(first(HELLOS_AT_ONCE));
  hellos[5]?.end();
  hellos[0]?.end();
  await expect.poll(taken).toEqual(first(HELLOS_AT_ONCE + 2));
  for (const hello of hellos) hello.end();
  await expect.poll(taken).toEqual(first(hellos.length));
  expect(hellos.map(({ turns: count }) => count)).toEqual(hellos.map(() => 1));
});

test("whoever has given up loses no turn of the others", async () => {
  const turns = new HelloTurns();
  const before = Array.from({ length: HELLOS_AT_ONCE }, () => new Hello());
  const [gone, patient] = [new Hello(), new Hello()];
  for (const hello of [...before, gone, patient]) turns.add(hello, 0);
  turns.remove(gone);
  before[0]?.end();
  await expect.poll(() => patient.turns).toBe(1);
  expect(gone.turns).toBe(0);
});

test("whoever has waited for longer than any device does is ended, and has no turn", async () => {
  const turns = new HelloTurns();
  const before = Array.from({ length: HELLOS_AT_ONCE }, () => new Hello());
  const [late, patient] = [new Hello(), new Hello()];
  for (const hello of [...before, late]) turns.add(hello, 0);
  turns.add(patient, 1);
  turns.sweep(HELLO_TURN_MS - 1);
  expect(late.isTerminated).toBe(false);
  turns.sweep(HELLO_TURN_MS);
  expect([...before, late, patient].filter(({ isTerminated }) => isTerminated)).toEqual([late]);
  before[0]?.end();
  await expect.poll(() => patient.turns).toBe(1);
  expect(late.turns).toBe(0);
});

test("while messages of people are worked at, few hellos have their turn, and all of them in the end", async () => {
  const work = { hasMessages: true };
  const turns = new HelloTurns(work);
  const hellos = Array.from({ length: 3 * HELLOS_AT_ONCE }, () => new Hello());
  const begun = (): number => hellos.filter((hello) => hello.turns > 0).length;
  for (const hello of hellos) turns.add(hello, 0);
  expect(begun()).toBe(HELLOS_BESIDE_MESSAGES);
  hellos[0]?.end();
  await expect.poll(begun).toBe(HELLOS_BESIDE_MESSAGES + 1);
  work.hasMessages = false;
  hellos[1]?.end();
  await expect.poll(begun).toBe(HELLOS_AT_ONCE + 2);
  work.hasMessages = true; // those that have begun go on
  for (let i = 2; i < HELLOS_AT_ONCE; i++) hellos[i]?.end();
  await expect.poll(begun).toBe(HELLOS_AT_ONCE + HELLOS_BESIDE_MESSAGES);
  for (let ended = 0; ended < hellos.length; ended = begun()) {
    for (const hello of hellos) hello.end();
    await new Promise(setImmediate);
  }
  expect(hellos.map(({ turns: count }) => count)).toEqual(hellos.map(() => 1));
});

test("whoever would wait for too long is told a time of its own, as fast as turns go", () => {
  const turns = new HelloTurns({ hasMessages: false });
  const few = HELLOS_AT_ONCE + HELLO_BACKLOG_MS / RETURN_SLOT_MS;
  for (let i = 0; i < few; i++) turns.add(new Hello(), 0);
  expect(turns.turnAway(0)).toBeUndefined();
  turns.add(new Hello(), 0);
  const told = Array.from({ length: 10 }, () => turns.turnAway(0) ?? Number.NaN);
  expect(told[0]).toBeGreaterThan(HELLO_BACKLOG_MS);
  for (const [i, ms] of told.entries()) expect(ms).toBe((told[0] ?? 0) + i * RETURN_SLOT_MS);
});

test("however many are turned away, each is told another time, and they keep nobody away for long", () => {
  const turns = new HelloTurns({ hasMessages: false });
  for (let i = 0; i < 2 * HELLOS_AT_ONCE + HELLO_BACKLOG_MS / RETURN_SLOT_MS; i++) turns.add(new Hello(), 0);
  const told = Array.from({ length: 100_000 }, () => turns.turnAway(0) ?? Number.NaN);
  expect(new Set(told).size).toBe(told.length);
  const first = told[0] ?? Number.NaN;
  const span = RETURN_SPREAD_MS - first;
  const tenths = Array.from({ length: 10 }, () => 0);
  for (const wait of told) {
    const tenth = Math.min(9, Math.floor(((wait - first) / span) * 10 + 1e-3));
    tenths[tenth] = (tenths[tenth] ?? Number.NaN) + 1;
  }
  expect(Math.min(...tenths)).toBeGreaterThan(told.length / 11);
  expect(Math.max(...tenths)).toBeLessThan(told.length / 9);
  expect(Math.max(...told)).toBeLessThanOrEqual(RETURN_SPREAD_MS);
  expect(turns.turnAway(RETURN_SPREAD_MS)).toBe(first);
});

test("how long turns take is what was measured", async () => {
  const turns = new HelloTurns({ hasMessages: false });
  const hellos = Array.from({ length: 3 * HELLOS_AT_ONCE }, () => new Hello());
  for (const hello of hellos) turns.add(hello, 0);
  turns.sweep(0);
  for (const hello of hellos.slice(0, 10)) hello.end();
  await expect.poll(() => hellos.filter((hello) => hello.turns > 0).length).toBe(HELLOS_AT_ONCE + 10);
  expect(turns.turnAway(1000)).toBeUndefined();
  turns.sweep(1000); // ten in a second
  expect(turns.turnAway(1000)).toBeGreaterThan(10_000);
  for (const hello of hellos) turns.remove(hello);
  turns.sweep(2000);
  for (let i = 0; i < 100; i++) turns.add(new Hello(), 2900);
  turns.sweep(3000); // of so short a while nothing is concluded
  expect(turns.turnAway(3000)).toBeUndefined();
});

test("a directory that does not get to a hello lets go of its link", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
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
  const links = await Promise.all(Array.from({ length: HELLOS_AT_ONCE }, () => connectRaw(world)));
  for (const link of links) link.socket.send(await helloBytes(client, device, clock.now()));
  await expect.poll(() => asked).toBe(HELLOS_AT_ONCE);
  const late = await connectRaw(world);
  late.socket.send(await helloBytes(client, device, clock.now()));
  late.socket.ping();
  await once(late.socket, "pong", { signal: patience() }); // the hello has been read
  clock.advance(HELLO_TURN_MS + 1000);
  expect(await late.closed).toBe(1006);
  disk.emit("works");
  for (const { socket } of links) socket.terminate();
});

test("who has said hello in time is not cut off for the directory's slowness", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const device = await world.activated("@device", "mygateway", "device");
  const disk = new EventEmitter();
  const { store } = world;
  const read = store.member.bind(store);
  store.member = async (party) => {
    disk.emit("asked");
    await once(disk, "works");
    return await read(party);
  };
  const asked = once(disk, "asked", { signal: patience() });
  const link = world.link(device);
  await asked;
  clock.advance(LINK_HELLO_MS + 2000);
  disk.emit("works");
  (await link).close();
});
