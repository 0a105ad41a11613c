import { afterEach, beforeEach, expect, test } from "vitest";
import { parseMember } from "../../keys/names.ts";
import type { DirectoryClient } from "../../directory/client.ts";
import {
  CLIENT_REQUESTS_BURST,
  CLIENT_REQUESTS_PER_SECOND,
  SESSIONS_PER_CLIENT,
  SESSIONS_PER_CLIENT_AND_DEVICE,
} from "../../protocol/limits.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { TestLink } from "./streams.ts";
import { newPerson, patience, type Person, random, sessionMessage, TestClock, World, putMessage } from "./world.ts";

const AT_ONCE = 50;

let clock: TestClock;
let world: World;
let directory: DirectoryClient;
let client: Person;
let device: Person;
/** Whoever asks waits for as long as the test lasts: what is given up makes room. */
let over: AbortController;
beforeEach(async () => {
  over = new AbortController();
  clock = new TestClock();
  world = await World.start({ clock, maxConnections: 9_000 });
  await world.rendezvous();
  directory = world.client();
  client = await world.activated("@client", "laptop", "client");
  device = await world.activated("@device", "mygateway", "device");
});
afterEach(async () => {
  over.abort();
  await world[Symbol.asyncDispose]();
});

test("a client that has a silent device asked fills its own share, whatever member it comes as, and nobody else's", async () => {
  const silent = await TestLink.open(world, device);
  const messages = Array.from({ length: SESSIONS_PER_CLIENT_AND_DEVICE }, () => sessionMessage(client, device));
  expect(new Set(await inTurns(messages, (message) => first(client, message)))).toEqual(new Set(["ticket"]));
  const twin = await memberOf(client, "tablet");
  for (const each of [client, twin]) expect(await first(each, sessionMessage(each, device))).toBe("E_BUSY");
  const other = await world.activated("@other", "laptop", "client");
  expect(await first(other, sessionMessage(other, device))).toBe("ticket");
  const elsewhere = await world.activated("@elsewhere", "mygateway", "device");
  await TestLink.open(world, elsewhere);
  expect(await first(client, sessionMessage(client, elsewhere))).toBe("ticket");
  const [answered] = messages;
  if (answered === undefined) throw new Error("nothing was asked");
  silent.link.answer({ sid: answered.sid, message2: random(100) });
  await expect.poll(() => first(twin, sessionMessage(twin, device))).toBe("ticket");
});

test("a client that waits for many devices fills its own share, whatever members it comes as, and nobody else's", async () => {
  const side = Math.ceil(Math.sqrt(SESSIONS_PER_CLIENT + 1));
  const names = Array.from({ length: side }, (_, i) => `m${i}`);
  const members = await inTurns(names, (name) => memberOf(client, name));
  const devices = await inTurns(names, (name) => memberOf(device, name));
  const pairs = members.flatMap((member) => devices.map((each) => [member, each] as const));
  const ask = async ([from, to]: readonly [Person, Person]): Promise<string> =>
    await first(from, sessionMessage(from, to, { waitSeconds: 3600 }));
  const codes: string[] = [];
  for (let i = 0; i < pairs.length; i += CLIENT_REQUESTS_BURST) {
    codes.push(...(await inTurns(pairs.slice(i, i + CLIENT_REQUESTS_BURST), ask)));
    clock.leap((1000 * CLIENT_REQUESTS_BURST) / CLIENT_REQUESTS_PER_SECOND);
  }
  const beyond = codes.splice(SESSIONS_PER_CLIENT);
  expect(new Set(codes)).toEqual(new Set(["waiting"]));
  expect(new Set(beyond)).toEqual(new Set(["E_BUSY"]));
  const other = await world.activated("@other", "laptop", "client");
  expect(await ask([other, device])).toBe("waiting");
}, 120_000);

test("a tool may go to a thousand devices at once; then its name has a rate, whatever member it comes as", async () => {
  const ask = async (from: Person): Promise<string> => await first(from, sessionMessage(from, device));
  const all = Array.from({ length: CLIENT_REQUESTS_BURST }, () => client);
  const started = clock.monotonic();
  expect(new Set(await inTurns(all, ask))).toEqual(new Set(["E_NEVER_SEEN"]));
  const twin = await memberOf(client, "tablet");
  let more = 0;
  let answer = await ask(twin);
  for (; answer === "E_NEVER_SEEN"; answer = await ask(twin)) more += 1;
  expect(answer).toBe("E_RATE");
  const seconds = (clock.monotonic() - started) / 1000;
  expect(more).toBeLessThanOrEqual(seconds * CLIENT_REQUESTS_PER_SECOND + 1);
  const other = await world.activated("@other", "laptop", "client");
  expect(await ask(other)).toBe("E_NEVER_SEEN");
}, 120_000);

/** What the directory says first: the type of its frame, or the code with which it refuses. The answer stays open. */
async function first(from: Person, message: { type: number; body: Uint8Array }): Promise<string> {
  const frames: AsyncGenerator<Frame> = directory.send(from.x25519, message, { signal: over.signal });
  const { value } = (await frames.next()) as { value: Frame };
  return value.type === "refused" ? value.code : value.type;
}

/** Another member of a person's name. */
async function memberOf({ name, role, owner, statement }: Person, text: string): Promise<Person> {
  const person = newPerson(name, parseMember(text), role, { owner, statement, issued: clock.now() });
  expect(await directory.request(person.x25519, putMessage(person.binding), { signal: patience() })).toMatchObject({
    type: "logged",
  });
  return person;
}

/** Does `act` for all items, AT_ONCE of them at a time; the results in the order of the items. */
async function inTurns<T, R>(items: readonly T[], act: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  const waiting = items.entries();
  const worker = async (): Promise<void> => {
    for (const [i, item] of waiting) results[i] = await act(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}
