import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { lose, next, only, rest, send, TestLink } from "./streams.ts";
import { type Person, random, sessionMessage, TestClock, World } from "./world.ts";

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

test("a request waits for its device, and is delivered when it comes", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const frames = send(world, client, message);
  expect(await next(frames, "waiting")).toEqual({ type: "waiting", lastSeen: 0 });
  clock.advance(500_000);
  await world.rendezvous(`late${count}`);
  const link = await TestLink.open(world, device);
  const notify = await link.notified();
  expect(notify.message1).toEqual(message.message1);
  expect((await next(frames, "ticket")).ticket).toEqual(notify.ticket);
  link.link.answer({ sid: message.sid, message2: random(1200) });
  expect(await rest(frames)).toMatchObject([{ type: "answer" }]);
});

test("whoever waits is told when the device was last seen", async () => {
  const link = await TestLink.open(world, device);
  const seen = clock.now();
  await link.close();
  const { lastSeen } = await next(send(world, client, sessionMessage(client, device, { waitSeconds: 600 })), "waiting");
  expect(Math.abs(lastSeen - seen)).toBeLessThan(60_000);
});

test("a wait ends when its time is over", async () => {
  const frames = send(world, client, sessionMessage(client, device, { waitSeconds: 600 }));
  await next(frames, "waiting");
  clock.advance(601_000);
  expect(await rest(frames)).toEqual([{ type: "refused", code: "E_WAIT_EXPIRED", detail: 0 }]);
});

test("no wait is longer than a day", async () => {
  const frames = send(world, client, sessionMessage(client, device, { waitSeconds: 0xffffffff }));
  await next(frames, "waiting");
  clock.advance(24 * 60 * 60_000 + 1000);
  expect(await rest(frames)).toMatchObject([{ code: "E_WAIT_EXPIRED" }]);
});

test("an answer that waits is kept alive, and the client does not see that", async () => {
  const frames = send(world, client, sessionMessage(client, device, { waitSeconds: 600 }));
  await next(frames, "waiting");
  for (let i = 0; i < 10; i++) clock.advance(15_000);
  await world.rendezvous(`late${count}`);
  const link = await TestLink.open(world, device);
  await link.notified();
  expect(await next(frames, "ticket")).toMatchObject({ type: "ticket" });
});

test("the client that waits can withdraw, and nobody else", async () => {
  const other = await world.activated(`@other${count}`, "laptop", "client");
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const frames = send(world, client, message);
  await next(frames, "waiting");
  const withdraw = { type: REQUEST.withdraw, body: encodeWithdraw(message.sid) };
  expect(await only(send(world, other, withdraw))).toEqual({ type: "done" });
  const again = send(world, client, message);
  await next(again, "waiting");
  expect(await rest(frames)).toMatchObject([{ code: "E_INTERRUPTED" }]);
  expect(await only(send(world, client, withdraw))).toEqual({ type: "done" });
  expect(await rest(again)).toEqual([{ type: "refused", code: "E_INTERRUPTED", detail: 0 }]);
  expect(await firstSidNotified()).not.toEqual(message.sid);
});

test("of two requests of one client for one device the newer waits", async () => {
  const older = send(world, client, sessionMessage(client, device, { waitSeconds: 600 }));
  await next(older, "waiting");
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const newer = send(world, client, message);
  await next(newer, "waiting");
  expect(await rest(older)).toEqual([{ type: "refused", code: "E_INTERRUPTED", detail: 0 }]);
  const link = await TestLink.open(world, device);
  expect((await link.notified()).prologue.sid).toEqual(message.sid);
});

test("requests of different clients for one device all wait", async () => {
  const other = await world.activated(`@other${count}`, "laptop", "client");
  const mine = sessionMessage(client, device, { waitSeconds: 600 });
  const theirs = sessionMessage(other, device, { waitSeconds: 600 });
  await next(send(world, client, mine), "waiting");
  await next(send(world, other, theirs), "waiting");
  const link = await TestLink.open(world, device);
  expect((await link.notified()).prologue.sid).toEqual(mine.sid);
  expect((await link.notified()).prologue.sid).toEqual(theirs.sid);
});

test("a request whose stream was lost is kept for a while, and the same request again finds it", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const lost = send(world, client, message);
  await next(lost, "waiting");
  await lose(world, lost);
  clock.advance(30_000);
  const found = send(world, client, message);
  await next(found, "waiting");
  clock.advance(90_000);
  await world.rendezvous(`late${count}`);
  const link = await TestLink.open(world, device);
  expect((await link.notified()).prologue.sid).toEqual(message.sid);
  expect(await next(found, "ticket")).toMatchObject({ type: "ticket" });
});

test("a device that came while the stream was lost has answered when the client asks again", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const lost = send(world, client, message);
  await next(lost, "waiting");
  await lose(world, lost);
  const link = await TestLink.open(world, device);
  const { ticket } = await link.notified();
  const message2 = random(1200);
  link.link.answer({ sid: message.sid, message2 });
  const found = send(world, client, message);
  expect((await next(found, "ticket")).ticket).toEqual(ticket);
  expect(await rest(found)).toEqual([{ type: "answer", message2 }]);
});

test("a request whose client is gone for too long is not delivered any more", async () => {
  const message = sessionMessage(client, device, { waitSeconds: 600 });
  const gone = send(world, client, message);
  await next(gone, "waiting");
  await lose(world, gone);
  clock.advance(61_000);
  await world.rendezvous(`late${count}`);
  expect(await firstSidNotified()).not.toEqual(message.sid);
});

test("a wait that finds no rendezvous when the device comes ends with that", async () => {
  await using lonely = await World.start({ clock });
  const me = await lonely.activated("@client", "laptop", "client");
  const gateway = await lonely.activated("@device", "mygateway", "device");
  const frames = send(lonely, me, sessionMessage(me, gateway, { waitSeconds: 600 }));
  await next(frames, "waiting");
  await TestLink.open(lonely, gateway);
  expect(await rest(frames)).toEqual([{ type: "refused", code: "E_NO_RENDEZVOUS", detail: 0 }]);
});

/** Which session the device is first asked about, once it comes and a further request is posted. */
async function firstSidNotified(): Promise<Uint8Array> {
  const link = await TestLink.open(world, device);
  await next(send(world, client, sessionMessage(client, device)), "ticket");
  return (await link.notified()).prologue.sid;
}
