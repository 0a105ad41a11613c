import { afterAll, beforeAll, expect, test } from "vitest";
import { verifyTicket } from "../../protocol/ticket.ts";
import { patience, type Person, random, sessionMessage, suite, World } from "./world.ts";

let world: World;
let client: Person;
let device: Person;
beforeAll(async () => {
  world = await World.start();
  client = await world.activated("@client", "laptop-client", "client");
  device = await world.activated("@device", "mygateway", "device");
  await world.rendezvous();
});
afterAll(() => world[Symbol.asyncDispose]());

test("a request reaches the device with the client's ticket, and its answer comes back", async () => {
  const link = await world.link(device);
  const events = link.events[Symbol.asyncIterator]();
  const message = sessionMessage(client, device);
  const directory = world.client();
  const frames = directory.send(client.x25519, message, { signal: patience() });
  const first = await frames.next();
  const event = (await events.next()).value;
  if (first.value?.type !== "ticket" || event?.type !== "notify") throw new Error("no ticket");
  expect(event.notify.ticket).toEqual(first.value.ticket);
  expect(event.notify.message1).toEqual(message.message1);
  expect(event.notify.clientBinding.text).toBe(client.binding.text);
  const { list } = await directory.keyList({ signal: patience() });
  expect(verifyTicket(suite, list.ticket, first.value.ticket).sid).toEqual(message.sid);
  const message2 = random(1200);
  link.answer({ sid: message.sid, message2 });
  expect((await frames.next()).value).toEqual({ type: "answer", message2 });
  expect((await frames.next()).done).toBe(true);
  link.close();
});
