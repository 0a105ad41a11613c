import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { base64 } from "../../keys/bytes.ts";
import { parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { signKeyList, type VerifiedKeyList } from "../../protocol/key-list.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { filesBelow } from "../support/import-graph.ts";
import { next, rest, send, TestLink } from "./streams.ts";
import { patience, random, sessionMessage, suite, TestClock, World } from "./world.ts";

const WEEK = 7 * 24 * 60 * 60_000;
const sender = X25519PrivateKey.generate(suite, random);
const question = { type: REQUEST.activationStart, body: encodeActivationStart(parseName("@acme")) };

test("keys are rotated once a week; the previous ones serve another week, then they are gone", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const lists = [await listOf(world)];
  for (let week = 0; week < 2; week++) {
    await rotate(world, clock);
    lists.push(await listOf(world));
  }
  const [first, second, third] = lists.map(({ list }) => list);
  expect(second?.sealing[1]?.toJSON()).toBe(first?.sealing[0]?.toJSON());
  expect(second?.ticket[1]?.toJSON()).toBe(first?.ticket[0]?.toJSON());
  expect(third?.sealing.map((key) => key.toJSON())).not.toContain(first?.sealing[0]?.toJSON());
  expect(third?.ticket.map((key) => key.toJSON())).not.toContain(first?.ticket[0]?.toJSON());
  expect([first?.seq ?? 0, second?.seq ?? 0, third?.seq ?? 0].sort((a, b) => a - b)).toEqual(
    lists.map(({ list }) => list.seq),
  );
  expect(new Set(lists.map(({ root }) => root)).size).toBe(1);
});

test("a client with last week's list is served, with an older one after it took the new list", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const old = await listOf(world);
  const told: VerifiedKeyList[] = [];
  const client = world.client({ keyList: old, onKeyList: (list) => told.push(list) });
  await rotate(world, clock);
  await client.request(sender, question, { signal: patience() });
  await expect.poll(() => told).toHaveLength(1);
  await rotate(world, clock);
  await rotate(world, clock);
  await client.request(sender, question, { signal: patience() });
  expect(told.at(-1)?.list.seq).toBe(world.directory.keyring.keyListSeq);
});

test("a device hears of new keys on its link, and goes on with them", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const client = await world.activated("@client", "laptop", "client");
  const device = await world.activated("@device", "mygateway", "device");
  const link = await TestLink.open(world, device);
  for (let week = 0; week < 3; week++) {
    await rotate(world, clock);
    const { keyList } = await link.event("keyList");
    expect(keyList.list.seq).toBe(world.directory.keyring.keyListSeq);
    await world.rendezvous(`rz${week}`);
    const message = sessionMessage(client, device);
    const frames = send(world, client, message);
    await next(frames, "ticket");
    await link.notified();
    link.link.answer({ sid: message.sid, message2: random(100) });
    expect(await rest(frames)).toMatchObject([{ type: "answer" }]);
  }
});

test("a list that is not rotated is signed anew before it expires, and a store that was lost is no step back", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock, acceptOlderLog: true });
  const before = await listOf(world);
  await world.pause();
  await world.resume();
  expect((await listOf(world)).signed.text).toBe(before.signed.text);
  await world.pause();
  await rm(join(world.data.path, "store"), { recursive: true });
  clock.leap(2000);
  await world.resume();
  const after = await listOf(world);
  expect(after.list.seq).toBeGreaterThan(before.list.seq);
  expect(after.list.sealing[0]?.toJSON()).toBe(before.list.sealing[0]?.toJSON());
});

test("a client believes no list that is older than one it has seen, or has expired", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  const old = await listOf(world);
  await rotate(world, clock);
  const newest = await listOf(world);
  const client = world.client({ keyList: newest });
  expect(() => client.acceptKeyList(old.signed)).toThrow(expect.objectContaining({ code: "E_DIRECTORY_LIST" }));
  const { root } = world.directory.keyring;
  const stale = signKeyList(suite, root, { ...newest.list, seq: newest.list.seq + 1, expires: Date.now() - 1 });
  // A clock that is ahead locks nobody out: the time counts once the directory has said it.
  expect(client.acceptKeyList(stale).list.seq).toBe(newest.list.seq + 1);
  const informed = world.client({ keyList: newest });
  informed.noteTime(Date.now());
  expect(() => informed.acceptKeyList(stale)).toThrow(expect.objectContaining({ code: "E_DIRECTORY_LIST" }));
});

test("a client believes no directory but the one whose fingerprint it was given", async () => {
  await using world = await World.start();
  await using other = await World.start();
  const text = `${other.address.url.origin}#${world.address.fingerprint}`;
  const client = world.client({ address: parseDirectoryAddress(text) });
  await expect(client.request(sender, question, { signal: patience() })).rejects.toMatchObject({
    code: "E_DIRECTORY_KEY",
  });
  const known = await listOf(world);
  const knowing = world.client({ address: parseDirectoryAddress(text), keyList: known });
  await expect(knowing.request(sender, question, { signal: patience() })).rejects.toMatchObject({
    code: "E_DIRECTORY_KEY",
  });
});

test("no private key is in the store or the audit, and all are in one file for its owner alone", async () => {
  await using world = await World.start();
  const { root, ticket } = world.directory.keyring;
  const secrets = [root, ticket, ...world.directory.keyring.sealing(Date.now())].map((key) => key.secretBytes());
  await world.pause();
  const holders = new Set<string>();
  for (const file of filesBelow(world.data.path, ".")) {
    const content = await readFile(join(world.data.path, file), "latin1");
    for (const secret of secrets) {
      const forms = [Buffer.from(secret).toString("latin1"), Buffer.from(secret).toString("hex"), base64(secret)];
      if (forms.some((form) => content.includes(form))) holders.add(file);
    }
  }
  const [file, ...others] = holders;
  expect(others).toEqual([]);
  expect((await stat(join(world.data.path, file ?? "missing"))).mode & 0o777).toBe(0o600);
});

async function listOf(world: World): Promise<VerifiedKeyList> {
  return await world.client().keyList({ signal: patience() });
}

/** Sets the clock forward until the directory has rotated its keys. */
async function rotate(world: World, clock: TestClock): Promise<void> {
  const { keyListSeq } = world.directory.keyring;
  clock.leap(WEEK);
  await expect.poll(() => world.directory.keyring.keyListSeq).toBeGreaterThan(keyListSeq);
}
