import { afterAll, beforeAll, expect, test } from "vitest";
import { putStatements } from "../../directory/client.ts";
import { ed25519Line } from "../../keys/openssh.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { TOLD_AGAIN } from "../../protocol/limits.ts";
import { verifyBinding } from "../../protocol/statements.ts";
import { rebinding, revocation } from "../support/later-statements.ts";
import { TestLink } from "./streams.ts";
import { patience, type Person, random, suite, World } from "./world.ts";

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

async function client(name: string): Promise<Person> {
  return await world.activated(name, "laptop", "client");
}
