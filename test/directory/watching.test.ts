import { afterAll, beforeAll, expect, test } from "vitest";
import { putStatements } from "../../directory/client.ts";
import { LinkNews } from "../../directory/link-news.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { type Name, parseMember, parseName } from "../../keys/names.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { TOLD_AGAIN } from "../../protocol/limits.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { policy, rebinding, revocation, rotation } from "../support/later-statements.ts";
import { giveToken } from "./applicant.ts";
import { TestLink } from "./streams.ts";
import { newPerson, patience, type Person, random, suite, World } from "./world.ts";

let world: World;
let device: Person;
beforeAll(async () => {
  world = await World.start();
  device = await world.activated("@device", "mygateway", "device");
});
afterAll(() => world[Symbol.asyncDispose]());

test("a device that says which clients it has is told how they stand, whatever has become of them while its link was away", async () => {
  const [same, revoked, replaced] = [await client("@same"), await client("@revoked"), await client("@replaced")];
  const revoking = revocation(revoked.owner, revoked.binding);
  await putStatements(world.client(), revoked.x25519, [revoking], { signal: patience() });
  const x25519 = X25519PrivateKey.generate(suite, random);
  const { statement } = verifyBinding(suite, replaced.binding, ed25519Line(replaced.owner.publicKey));
  const renewed = rebinding(replaced.owner, statement, replaced.binding, { x25519: x25519.publicKey });
  await putStatements(world.client(), x25519, [renewed], { signal: patience() });

  const link = await TestLink.open(world, device);
  link.link.watch([same, revoked, replaced]);
  for (const [who, newest] of [
    [same, same.binding],
    [revoked, revoking],
    [replaced, renewed],
  ] as const) {
    const { changed } = await link.event("changed");
    expect(changed).toMatchObject({ client: { name: who.name, member: who.member }, statements: { member: newest } });
  }

  link.link.watch([same, replaced]); // what it watched already it is not told again
  const other = await client("@other");
  link.link.watch([same, replaced, other]);
  expect((await link.event("changed")).changed.client.name).toBe("@other");
  link.link.close();
});

test("whoever repeats a statement has those told again whom it concerns, who may have missed it; but not for ever", async () => {
  const [one, other] = [await client("@one"), await client("@another")];
  const link = await TestLink.open(world, device);
  link.link.watch([one, other]);
  await link.event("changed");
  await link.event("changed");
  const put = async ({ x25519, owner, binding }: Person) => {
    const signed = revocations.get(binding) ?? revocation(owner, binding);
    revocations.set(binding, signed);
    await putStatements(world.client(), x25519, [signed], { signal: patience() });
  };
  const revocations = new Map<SignedText, SignedText>();
  const told = async () => (await link.event("changed")).changed.client.name;
  for (let i = 0; i <= TOLD_AGAIN; i += 1) {
    await put(one);
    expect(await told()).toBe("@one");
  }
  await put(one);
  await put(other);
  expect(await told()).toBe("@another");
  link.link.close();
});

test("after a rotation a device hears of a member when it is its turn, also when that is in a later message", async () => {
  const name = parseName("@many");
  const first = await world.activated(name, "laptop", "client");
  const of = { owner: first.owner, statement: first.statement };
  const second = newPerson(name, parseMember("tablet"), "client", of);
  const sensor = newPerson(name, parseMember("sensor"), "device", of);
  const put = (by: Person, ...texts: SignedText[]) =>
    putStatements(world.client(), by.x25519, texts, { signal: patience() });
  await put(second, second.binding);
  await put(sensor, sensor.binding);
  const [link, own] = [await TestLink.open(world, device), await TestLink.open(world, sensor)];
  link.link.watch([first, second]);
  for (const _ of [first, second]) await link.event("changed");
  await own.event("own");

  const to = Ed25519PrivateKey.generate(suite, random);
  const again = (who: Person): SignedText => {
    const { statement } = verifyBinding(suite, who.binding, ed25519Line(first.owner.publicKey));
    return rebinding(to, statement, who.binding);
  };
  const [firstAgain, secondAgain, sensorAgain] = [again(first), again(second), again(sensor)];
  const rotated = rotation({ from: first.owner, to, before: first.statement });
  await put(first, rotated, firstAgain, policy(to, name, undefined));
  await put(first, secondAgain, sensorAgain);
  const told: SignedText[] = [];
  while (told.at(-1)?.text !== secondAgain.text) told.push((await link.event("changed")).changed.statements.member);
  expect(told.map(({ text }) => text)).not.toContain(second.binding.text);
  expect((await own.event("own")).own.statements.member).toEqual(sensorAgain);
  await link.close();
  await own.close();
});

test("a fleet token that a former owner gave ends what it made, whoever of them revokes it", async () => {
  const name = parseName("@fleet");
  const first = await world.activated(name, "laptop", "client");
  const { key, signed: given } = await giveToken(world.client(), first, { role: "client", pattern: "*" });
  const tablet = newPerson(name, parseMember("tablet"), "client", {
    ...{ owner: key, statement: first.statement, expires: Date.now() + 3_600_000 },
  });
  const put = (by: Person, ...texts: SignedText[]) =>
    putStatements(world.client(), by.x25519, texts, { signal: patience() });
  await put(tablet, tablet.binding);
  const link = await TestLink.open(world, device);
  link.link.watch([tablet]);
  await link.event("changed");
  const to = Ed25519PrivateKey.generate(suite, random);
  const { statement } = verifyBinding(suite, first.binding, ed25519Line(first.owner.publicKey));
  const rotated = rotation({ from: first.owner, to, before: first.statement });
  await put(first, rotated, rebinding(to, statement, first.binding)); // the token is not said again
  const revoked = revocation(to, given);
  await put(first, revoked);
  const { statements } = (await link.event("changed")).changed;
  expect(statements.delegationRevocation?.text).toBe(revoked.text);
  await link.close();
});

test("a link that closes while it is greeted is forgotten", async () => {
  const told: string[] = [];
  const link = {
    tellOwn: () => Promise.resolve(void told.push("own")),
    tellChanged: () => Promise.resolve(void told.push("changed")),
    tellNames: (names: readonly Name[]) => Promise.resolve((told.push(...names), [])),
  };
  const news = new LinkNews({ suite, store: world.store });
  news.greet(link, device, [parseName("@later")]);
  news.end(link, device);
  told.length = 0;
  await new Promise(setImmediate);
  await news.changed(["@later", "@device", "@device/mygateway"]);
  expect(told).toEqual([]);
});

async function client(name: string): Promise<Person> {
  return await world.activated(name, "laptop", "client");
}
