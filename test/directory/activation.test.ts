import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { base64 } from "../../keys/bytes.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";
import { SYSTEM_CLOCK } from "../../directory/clock.ts";
import { filesBelow } from "../support/import-graph.ts";
import {
  activate,
  activateMessage,
  challenge,
  newPerson,
  patience,
  type Person,
  random,
  World,
  putMessage,
} from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world[Symbol.asyncDispose]());

let count = 0;
let person: Person;
let secret: Secret;
beforeEach(async () => {
  count += 1;
  person = newPerson(parseName(`@acme${count}`), parseMember("laptop"), "client");
  secret = await world.addName(person.name);
});

test("a secret activates its name once, with the name statement and the first binding", async () => {
  expect(await activate(world.client(), person, secret)).toMatchObject({ type: "logged" });
  expect((await world.store.name(person.name))?.statements[0]?.text).toBe(person.statement.text);
  expect((await world.store.member(person))?.newest.text).toBe(person.binding.text);
});

test("the same texts again are a success, whatever was stored before", async () => {
  await activate(world.client(), person, secret);
  expect(await activate(world.client(), person, secret)).toMatchObject({ type: "logged" });
});

test("other keys with a used secret are refused, and nothing changes", async () => {
  await activate(world.client(), person, secret);
  const other = newPerson(person.name, person.member, "client");
  await expect(activate(world.client(), other, secret)).rejects.toMatchObject({ code: "E_CRAM_USED" });
  const sameOwner = newPerson(person.name, parseMember("second"), "client", person);
  await expect(activate(world.client(), sameOwner, secret)).rejects.toMatchObject({ code: "E_CRAM_USED" });
  expect((await world.store.name(person.name))?.statements[0]?.text).toBe(person.statement.text);
});

test("of 100 parallel activations with one secret exactly one wins", async () => {
  const people = Array.from({ length: 100 }, (_, i) => newPerson(person.name, parseMember(`m${i}`), "client"));
  const results = await Promise.allSettled(people.map((one) => activate(world.client(), one, secret)));
  const winners = people.filter((_, i) => results[i]?.status === "fulfilled");
  expect(winners).toHaveLength(1);
  for (const result of results) {
    if (result.status === "rejected") expect(result.reason).toMatchObject({ code: "E_CRAM_USED" });
  }
  expect((await world.store.name(person.name))?.statements[0]?.text).toBe(winners[0]?.statement.text);
  const members = (await world.administration.names()).find(({ name }) => name === person.name)?.members;
  expect(members?.map(({ member }) => member)).toEqual([winners[0]?.member]);
});

test("a wrong secret, a secret of another name and a name that is not there are refused alike", async () => {
  const wrong = Secret.fromBytes(random(32));
  const other = await world.addName(parseName("@other"));
  const nobody = newPerson(parseName("@nobody"), person.member, "client");
  for (const attempt of [
    () => activate(world.client(), person, wrong),
    () => activate(world.client(), person, other),
    () => activate(world.client(), nobody, secret),
  ]) {
    await expect(attempt()).rejects.toMatchObject({ code: "E_CRAM_WRONG" });
  }
  expect((await world.store.name(person.name))?.statements).toEqual([]);
  expect(await world.store.name(nobody.name)).toBeUndefined();
});

test("a wrong secret for an activated name does not tell that it is activated", async () => {
  await activate(world.client(), person, secret);
  const other = newPerson(person.name, person.member, "client");
  await expect(activate(world.client(), other, Secret.fromBytes(random(32)))).rejects.toMatchObject({
    code: "E_CRAM_WRONG",
  });
});

test("a new secret makes the one from before worthless", async () => {
  const second = await world.addName(person.name);
  await expect(activate(world.client(), person, secret)).rejects.toMatchObject({ code: "E_CRAM_WRONG" });
  await activate(world.client(), person, second);
});

test("an activated name gets no second secret", async () => {
  await activate(world.client(), person, secret);
  await expect(world.addName(person.name)).rejects.toMatchObject({ code: "E_NAME_TAKEN" });
});

test("a proof counts only over a nonce of this directory", async () => {
  const client = world.client();
  const forged = activateMessage(client, person, secret, random(16));
  await expect(client.request(person.x25519, forged, { signal: patience() })).rejects.toMatchObject({
    code: "E_CLOCK",
  });
});

test("an activation sent with another key than the member's is refused", async () => {
  const client = world.client();
  const thief = newPerson(parseName("@thief"), parseMember("thief"), "client");
  const message = activateMessage(client, person, secret, await challenge(client, person));
  await expect(client.request(thief.x25519, message, { signal: patience() })).rejects.toMatchObject({
    code: "E_NOT_AUTHORIZED",
  });
});

test("a binding of another name, not the first one, from the future or expired is refused", async () => {
  const { name, member } = person;
  const elsewhere = newPerson(parseName("@elsewhere"), member, "client", person);
  const attempts = [
    { ...person, binding: elsewhere.binding },
    newPerson(name, member, "client", { issued: Date.now() + 3_600_000 }),
    newPerson(name, member, "client", { expires: Date.now() - 1 }),
  ];
  for (const attempt of attempts) {
    await expect(activate(world.client(), attempt, secret)).rejects.toMatchObject({ code: "E_STATEMENT" });
  }
});

test("a key that is bound already is not bound again, whatever role and name it is for", async () => {
  const holder = await world.activated("@holder", "laptop", "client");
  const { name, member } = person;
  for (const stolen of [{ x25519: holder.x25519 }, { ed25519: holder.ed25519 }]) {
    const attempt = newPerson(name, member, "device", stolen);
    await expect(activate(world.client(), attempt, secret)).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
  }
});

test("a further member comes by its owner's signature, once", async () => {
  await activate(world.client(), person, secret);
  const device = newPerson(person.name, parseMember("mygateway"), "device", { owner: person.owner });
  expect(await put(device)).toMatchObject({ type: "logged" });
  expect(await put(device)).toMatchObject({ type: "logged" });
  const second = newPerson(person.name, parseMember("mygateway"), "device", { owner: person.owner });
  await expect(put(second)).rejects.toMatchObject({ code: "E_MEMBER_TAKEN" });
  expect((await world.store.member(device))?.newest.text).toBe(device.binding.text);
});

test("a member that its owner did not sign is refused, and so is one of a name that is not there or not activated", async () => {
  await activate(world.client(), person, secret);
  const stranger = newPerson(person.name, parseMember("evil"), "device");
  const waiting = parseName("@waiting");
  await world.addName(waiting);
  for (const evil of [
    stranger,
    newPerson(parseName("@nobody2"), parseMember("evil"), "device"),
    newPerson(waiting, parseMember("evil"), "device"),
  ]) {
    await expect(put(evil)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
    expect(await world.store.member(evil)).toBeUndefined();
  }
});

test("a member's binding counts only from the member itself", async () => {
  await activate(world.client(), person, secret);
  const device = newPerson(person.name, parseMember("mygateway"), "device", { owner: person.owner });
  await expect(put(device, person)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
});

test("too many wrong secrets from one address are refused unread, and the name is none the worse", async () => {
  // However long the tries take: no time passes, so nothing is given back.
  await using busy = await World.start({ clock: { ...SYSTEM_CLOCK, monotonic: () => 0 } });
  const target = newPerson(parseName("@target"), parseMember("laptop"), "client");
  const right = await busy.addName(target.name);
  const wrong = Secret.fromBytes(random(32));
  const attempts = Array.from({ length: 110 }, () => activate(busy.client(), target, wrong));
  const codes = (await Promise.allSettled(attempts)).map((result) =>
    result.status === "rejected" ? (result.reason as { code: string }).code : "done",
  );
  expect(new Set(codes)).toEqual(new Set(["E_CRAM_WRONG", "E_RATE"]));
  await expect(activate(busy.client(), target, right)).rejects.toMatchObject({ code: "E_RATE" });
  await busy.pause();
  await busy.resume();
  await activate(busy.client(), target, right);
});

test("no secret is in the data folder, in whatever form", async () => {
  await activate(world.client(), person, secret);
  await world.pause();
  const bytes = secret.secretBytes();
  const forms = [Buffer.from(bytes).toString("latin1"), Buffer.from(bytes).toString("hex"), base64(bytes)];
  for (const file of filesBelow(world.folder.path, "np")) {
    const content = await readFile(join(world.folder.path, file), "latin1");
    for (const form of forms) expect(content.includes(form)).toBe(false);
  }
  await world.resume();
});

async function put(member: Person, sender: Person = member) {
  return await world.client().request(sender.x25519, putMessage(member.binding), { signal: patience() });
}
