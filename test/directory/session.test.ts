import { LogFollower, type ProvedHeads } from "../../directory/client.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { parseMember, parseName } from "../../keys/names.ts";
import { LINK_MESSAGES_BURST } from "../../protocol/limits.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { verifyTicket } from "../../protocol/ticket.ts";
import { next, only, rest, send as post, TestLink } from "./streams.ts";
import {
  activate,
  newPerson,
  patience,
  type Person,
  random,
  report,
  sessionMessage,
  suite,
  TestClock,
  World,
} from "./world.ts";

const clock = new TestClock();
let world: World;
let client: Person;
let device: Person;
beforeAll(async () => {
  world = await World.start({ clock });
  client = await world.activated("@client", "laptop-client", "client");
});
afterAll(() => world[Symbol.asyncDispose]());

let count = 0;
beforeEach(async () => {
  count += 1;
  device = await world.activated(`@device${count}`, "mygateway", "device");
  await world.rendezvous(`rz${count}`);
});

test("a request reaches the device with the client's ticket, and its answer comes back", async () => {
  const link = await linked();
  const message = sessionMessage(client, device);
  const frames = send(message);
  const ticket = await next(frames, "ticket");
  const notify = await link.notified();
  expect(notify.ticket).toEqual(ticket.ticket);
  expect(notify.rendezvous).toEqual(ticket.rendezvous);
  expect(notify.message1).toEqual(message.message1);
  expect(notify.client.names.map(({ text }) => text)).toEqual([client.statement.text]);
  expect(notify.client.member.text).toBe(client.binding.text);
  const { list } = await world.client().keyList({ signal: patience() });
  expect(verifyTicket(suite, list.ticket, ticket.ticket)).toMatchObject({
    sid: message.sid,
    legKey: notify.prologue.legKey,
  });
  const message2 = random(1200);
  link.link.answer({ sid: message.sid, message2 });
  expect(await rest(frames)).toEqual([{ type: "answer", message2 }]);
});

test("however much a device is asked, its answers do not end its link", async () => {
  const link = await linked();
  for (let asked = 0; asked < LINK_MESSAGES_BURST + 20; asked += 20) {
    const messages = Array.from({ length: 20 }, () => sessionMessage(client, device));
    const answers = messages.map((message) => rest(send(message)));
    for (let i = 0; i < messages.length; i++) {
      const { prologue } = await link.notified();
      link.link.answer({ sid: prologue.sid, message2: random(100) });
    }
    for (const frames of await Promise.all(answers)) expect(frames.at(-1)?.type).toBe("answer");
  }
}, 120_000);

test("a device that could not read the request answers with a code and its labels", async () => {
  const link = await linked();
  const message = sessionMessage(client, device);
  const frames = send(message);
  await next(frames, "ticket");
  link.link.answer({ sid: message.sid, code: "E_VERSION", labels: ["sshnp/0"] });
  expect(await rest(frames)).toEqual([{ type: "deviceCode", code: "E_VERSION", labels: "sshnp/0" }]);
});

test("a look-up, and a request that knows another binding, is answered with the device's statements", async () => {
  const current = {
    ...{ type: "binding", of: "device" },
    statements: { names: [device.statement], member: device.binding, delegation: undefined },
  };
  const other = newPerson(device.name, device.member, "device", device);
  const lookUp = await verdict(sessionMessage(client, device, { message1: new Uint8Array(0) }));
  expect(lookUp).toMatchObject(current);
  expect(await verdict(sessionMessage(client, device, { deviceBinding: other.binding }))).toMatchObject(current);
  if (lookUp.type !== "binding") throw new Error(lookUp.type);
  const proved = await proof(lookUp.proof);
  proved.demand(newestOf(device));
  expect(() => proved.demand(newestOf(other))).toThrow(expect.objectContaining({ code: "E_LOG" }));
});

test("a device that never connected and one that is offline are told apart, the latter with when it was last seen", async () => {
  expect(await verdict(sessionMessage(client, device))).toEqual({ type: "refused", code: "E_NEVER_SEEN", detail: 0 });
  const link = await linked();
  const before = clock.now();
  await link.close();
  const refused = await verdict(sessionMessage(client, device));
  if (refused.type !== "refused") throw new Error(refused.type);
  expect(refused.code).toBe("E_OFFLINE");
  expect(Math.abs(refused.detail - before)).toBeLessThan(60_000);
});

test("a name, a member and a client that cannot be reached are all unknown devices", async () => {
  const unknownName = newPerson(parseName("@nobody"), device.member, "device");
  const unknownMember = newPerson(device.name, parseMember("nothing"), "device");
  for (const target of [unknownName, unknownMember, client]) {
    expect(await verdict(sessionMessage(client, target))).toEqual({
      type: "refused",
      code: "E_UNKNOWN_NAME",
      detail: 0,
    });
  }
});

test("a request counts only from the client that it names, whatever device it is for", async () => {
  const stranger = newPerson(parseName("@stranger"), parseMember("laptop"), "client");
  const unknown = newPerson(parseName("@nobody"), parseMember("nothing"), "device");
  for (const target of [device, unknown]) {
    for (const [sender, claimed] of [
      [stranger, stranger],
      [stranger, client],
      [device, client],
      [device, device],
    ] as const) {
      const message = sessionMessage(claimed, target);
      expect(await verdict(message, sender)).toEqual({ type: "refused", code: "E_NOT_AUTHORIZED", detail: 0 });
    }
  }
});

test("a client whose binding is another one is shown its own, and one whose binding has expired is refused", async () => {
  const other = newPerson(client.name, client.member, "client", client);
  expect(await verdict(sessionMessage(client, device, { clientBinding: other.binding }))).toMatchObject({
    ...{ type: "binding", of: "client" },
    statements: { names: [client.statement], member: client.binding, delegation: undefined },
  });
  const name = parseName(`@short${count}`);
  const secret = await world.addName(name);
  const shortLived = newPerson(name, parseMember("laptop"), "client", { expires: clock.now() + 3_600_000 });
  await activate(world.client(), shortLived, secret);
  expect(await verdict(sessionMessage(shortLived, device), shortLived)).toMatchObject({ code: "E_NEVER_SEEN" });
  clock.advance(3_600_000);
  expect(await verdict(sessionMessage(shortLived, device), shortLived)).toMatchObject({ code: "E_STATEMENT" });
});

test("the same request again gets the same ticket, and its newest POST gets the answer", async () => {
  const link = await linked();
  const message = sessionMessage(client, device);
  const first = send(message);
  const ticket = await next(first, "ticket");
  const second = send(message);
  expect(await next(second, "ticket")).toEqual(ticket);
  expect(await rest(first)).toEqual([{ type: "refused", code: "E_INTERRUPTED", detail: 0 }]);
  const message2 = random(1200);
  link.link.answer({ sid: message.sid, message2 });
  expect(await rest(second)).toEqual([{ type: "answer", message2 }]);
  expect(await rest(send(message))).toEqual([ticket, { type: "answer", message2 }]);
});

test("another request with a session id that is taken is refused", async () => {
  await linked();
  const message = sessionMessage(client, device);
  await next(send(message), "ticket");
  const other = sessionMessage(client, device, { sid: message.sid });
  expect(await verdict(other)).toEqual({ type: "refused", code: "E_PROTOCOL", detail: 0 });
});

test("an answer counts only from the device that was asked, and only for what it was asked", async () => {
  const link = await linked();
  const other = await world.activated(`@other${count}`, "mygateway", "device");
  const evil = (await TestLink.open(world, other)).link;
  const message = sessionMessage(client, device);
  const frames = send(message);
  await next(frames, "ticket");
  evil.answer({ sid: message.sid, message2: random(1200) });
  link.link.answer({ sid: random(16), message2: random(1200) });
  // What the other device says afterwards has been read once its own question is answered.
  const toOther = sessionMessage(client, other);
  const otherFrames = send(toOther);
  await next(otherFrames, "ticket");
  evil.answer({ sid: toOther.sid, message2: random(10) });
  await rest(otherFrames);
  const message2 = random(1200);
  link.link.answer({ sid: message.sid, message2 });
  expect(await rest(frames)).toEqual([{ type: "answer", message2 }]);
});

test("a device that comes back without having answered is asked once more, with the same ticket", async () => {
  const first = await linked();
  const message = sessionMessage(client, device);
  const frames = send(message);
  const ticket = await next(frames, "ticket");
  await first.notified();
  await first.close();
  const second = await linked();
  const notify = await second.notified();
  expect(notify.ticket).toEqual(ticket.ticket);
  const message2 = random(1200);
  second.link.answer({ sid: message.sid, message2 });
  expect(await rest(frames)).toEqual([{ type: "answer", message2 }]);
});

test("a device that does not answer in time counts as offline", async () => {
  await linked();
  const frames = send(sessionMessage(client, device));
  await next(frames, "ticket");
  clock.advance(31_000);
  expect(await rest(frames)).toMatchObject([{ type: "refused", code: "E_OFFLINE" }]);
});

test("a ticket names the three least busy rendezvous that are up, and without one there is no session", async () => {
  await using other = await World.start({ clock });
  const me = await other.activated("@client", "laptop", "client");
  const gateway = await other.activated("@device", "mygateway", "device");
  const ask = () => other.client().send(me.x25519, sessionMessage(me, gateway), { signal: patience() });
  await TestLink.open(other, gateway);
  expect(await rest(ask())).toEqual([{ type: "refused", code: "E_NO_RENDEZVOUS", detail: 0 }]);
  const all = await Promise.all(
    ["a", "b", "c", "d"].map((name, i) => other.rendezvous(name, [`tcp://127.0.0.1:${7801 + i}`])),
  );
  await Promise.all(all.map((rendezvous, i) => report(other.client(), rendezvous, 3_000 * (4 - i))));
  const offered = async (): Promise<string[]> => {
    const frames = ask();
    const { ticket } = await next(frames, "ticket");
    await frames.return();
    const { list } = await other.client().keyList({ signal: patience() });
    return verifyTicket(suite, list.ticket, ticket).entries.flatMap(({ addresses }) => addresses);
  };
  expect(await offered()).toEqual(["tcp://127.0.0.1:7804", "tcp://127.0.0.1:7803", "tcp://127.0.0.1:7802"]);
  clock.advance(40_000);
  const [lively] = all;
  if (lively !== undefined) await report(other.client(), lively, 9);
  clock.advance(10_000);
  await TestLink.open(other, gateway); // the old one was silent for too long
  expect(await offered()).toEqual(["tcp://127.0.0.1:7801"]);
});

test("a message that asks for nothing known is refused", async () => {
  for (const type of [0, 9, 16, 17, 32, 255]) {
    const message = { type, body: random(40) };
    expect(await verdict(message)).toEqual({ type: "refused", code: "E_PROTOCOL", detail: 0 });
  }
});

test("a request of another version, or too long for a device, is refused", async () => {
  const message = sessionMessage(client, device);
  const other = message.body.slice();
  other[8] = 0x39; // the label's last character
  expect(await verdict({ ...message, body: other })).toMatchObject({ code: "E_VERSION" });
  expect(await verdict(sessionMessage(client, device, { message1: random(20_000) }))).toMatchObject({
    code: "E_PROTOCOL",
  });
});

async function linked(): Promise<TestLink> {
  return await TestLink.open(world, device);
}

function send(message: { type: number; body: Uint8Array }, sender: Person = client) {
  return post(world, sender, message);
}

async function verdict(message: { type: number; body: Uint8Array }, sender: Person = client): Promise<Frame> {
  return await only(post(world, sender, message));
}

/** What the log of this directory proves, to somebody who has seen nothing of it. */
async function proof(bytes: Uint8Array): Promise<ProvedHeads> {
  const { list } = await world.client().keyList({ signal: patience() });
  return new LogFollower(suite).accept(list, bytes, clock.now());
}

function newestOf(person: Person): { readonly subject: string; readonly newest: Uint8Array }[] {
  const hashOf = ({ text }: SignedText): Uint8Array => suite.sha256(new TextEncoder().encode(text));
  return [
    { subject: person.name, newest: hashOf(person.statement) },
    { subject: `${person.name}/${person.member}`, newest: hashOf(person.binding) },
  ];
}
