import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { activationKey } from "../../keys/activation-key.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { Secret } from "../../keys/secret.ts";
import { RENDEZVOUS_MOVES, RENDEZVOUS_REPORTS, TICKET_ENTRY_BYTES } from "../../protocol/limits.ts";
import { RENDEZVOUS_ACTIVATION } from "../../protocol/messages/activation.ts";
import type { Frame } from "../../protocol/messages/response-frames.ts";
import { verifyRendezvousStatement } from "../../protocol/statements.ts";
import { entriesLength } from "../../protocol/ticket.ts";
import { activateRendezvous, newRendezvous, patience, random, report, suite, World } from "./world.ts";

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world[Symbol.asyncDispose]());

let count = 0;
let name: string;
let key: Ed25519PrivateKey;
beforeEach(async () => {
  count += 1;
  name = `rz${count}`;
  key = activationKey(suite, Secret.fromBytes(random(32)), RENDEZVOUS_ACTIVATION);
  await world.administration.addRendezvous(name, key.publicKey);
});

test("a secret makes a rendezvous once, with a statement that the root key signs", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801", "ws://np.example.org:7801"]);
  expect(await statementOf(activateRendezvous(world.client(), rendezvous, key))).toMatchObject({
    rendezvous: name,
    seq: 1,
    prev: null,
    expires: null,
    addresses: rendezvous.addresses,
  });
  const other = newRendezvous(rendezvous.addresses);
  await expect(activateRendezvous(world.client(), other, key)).rejects.toMatchObject({ code: "E_CRAM_USED" });
});

test("the same keys again get the same statement, and other addresses a new one that continues it", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  const first = await activateRendezvous(world.client(), rendezvous, key);
  expect(await activateRendezvous(world.client(), rendezvous, key)).toEqual(first);
  expect(await report(world.client(), rendezvous)).toEqual(first);
  const moved = { ...rendezvous, addresses: ["tcp://moved.example.org:7801"] };
  const second = await statementOf(report(world.client(), moved));
  expect(second).toMatchObject({ seq: 2, addresses: moved.addresses });
  expect(second.x25519).toEqual((await statementOf(Promise.resolve(first))).x25519);
  expect(second.prev).toMatch(/^[0-9a-f]{64}$/);
});

test("one that moves to and fro fills no log: after some statements it keeps the one that it has, and is up", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  await activateRendezvous(world.client(), rendezvous, key);
  const moved = (port: number) => ({ ...rendezvous, addresses: [`tcp://moved.example.org:${port}`] });
  for (let i = 1; i <= RENDEZVOUS_MOVES; i += 1) await report(world.client(), moved(i));
  const { size } = world.directory.statementLog.checkpoint;
  const kept = await statementOf(report(world.client(), moved(RENDEZVOUS_MOVES + 1)));
  expect(kept).toMatchObject({ seq: RENDEZVOUS_MOVES + 1, addresses: moved(RENDEZVOUS_MOVES).addresses });
  expect(world.directory.statementLog.checkpoint.size).toBe(size);
  expect((await world.administration.rendezvous()).find((one) => one.name === name)?.isUp).toBe(true);
});

test("a secret that nobody gave out makes no rendezvous", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  const invented = Ed25519PrivateKey.generate(suite, random);
  await expect(activateRendezvous(world.client(), rendezvous, invented)).rejects.toMatchObject({
    code: "E_CRAM_WRONG",
  });
});

test("keys that are bound already make no rendezvous", async () => {
  const person = await world.activated(`@acme${count}`, "laptop", "client");
  const { x25519 } = person;
  const attempt = { ...newRendezvous(["tcp://np.example.org:7801"]), x25519 };
  await expect(activateRendezvous(world.client(), attempt, key)).rejects.toMatchObject({ code: "E_MEMBER_KEY" });
});

test("a report counts only from a rendezvous", async () => {
  const stranger = newRendezvous(["tcp://evil.example.org:7801"]);
  await expect(report(world.client(), stranger)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
  const person = await world.activated(`@acme${count}`, "laptop", "client");
  const posing = { ...stranger, x25519: person.x25519 };
  await expect(report(world.client(), posing)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
});

test("addresses that no ticket has room for are refused", async () => {
  const long = Array.from({ length: 4 }, (_, i) => `tcp://${"a".repeat(220)}${i}.example.org:7801`);
  await expect(activateRendezvous(world.client(), newRendezvous(long), key)).rejects.toMatchObject({
    code: "E_PROTOCOL",
  });
});

test("the longest addresses that are taken leave room for a second rendezvous", async () => {
  const long = (at: string): string[] => [
    `tcp://${at.repeat(155)}.example:7801`,
    `wss://${at.repeat(156)}.example:443`,
  ];
  const [one, other] = [newRendezvous(long("a")), newRendezvous(long("b"))];
  await activateRendezvous(world.client(), one, key);
  const second = activationKey(suite, Secret.fromBytes(random(32)), RENDEZVOUS_ACTIVATION);
  await world.administration.addRendezvous(`${name}-b`, second.publicKey);
  await activateRendezvous(world.client(), other, second);
  for (const each of [one, other]) await report(world.client(), each);
  const { entries, statements } = world.directory.registry.offer(Date.now());
  expect(entriesLength([{ key: one.ed25519.publicKey, boot: one.boot, addresses: one.addresses }])).toBe(
    TICKET_ENTRY_BYTES + 1,
  );
  expect(entries.length).toBeGreaterThan(1);
  expect(statements).toHaveLength(entries.length);
  for (const removed of [name, `${name}-b`]) await world.administration.removeRendezvous(removed);
});

test("one that is removed is named in no ticket, its word and its old secret count no more, and a new secret brings it back", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  await activateRendezvous(world.client(), rendezvous, key);
  await report(world.client(), rendezvous);
  const isNamed = (): boolean => world.directory.registry.offer(Date.now()).names.includes(name);
  const others = (await world.administration.rendezvous()).filter((one) => one.isUp && one.name !== name);
  for (const other of others) await world.administration.removeRendezvous(other.name);
  expect(isNamed()).toBe(true);
  expect(await world.administration.removeRendezvous(name)).toBe(true);
  expect(isNamed()).toBe(false);
  await expect(report(world.client(), rendezvous)).rejects.toMatchObject({ code: "E_NOT_AUTHORIZED" });
  await expect(activateRendezvous(world.client(), rendezvous, key)).rejects.toMatchObject({ code: "E_CRAM_WRONG" });
  await world.pause();
  await world.resume();
  expect(isNamed()).toBe(false);
  const second = activationKey(suite, Secret.fromBytes(random(32)), RENDEZVOUS_ACTIVATION);
  expect(await world.administration.addRendezvous(name, second.publicKey)).toBe("again");
  const anew = newRendezvous(rendezvous.addresses);
  expect(await statementOf(activateRendezvous(world.client(), anew, second))).toMatchObject({ seq: 2 });
  await report(world.client(), anew);
  expect(isNamed()).toBe(true);
  expect(await world.administration.removeRendezvous("nobody")).toBe(false);
});

test("reports without end are told to wait, and the rendezvous is up", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  await activateRendezvous(world.client(), rendezvous, key);
  const client = world.client();
  const reports = Array.from({ length: 2 * RENDEZVOUS_REPORTS }, () => report(client, rendezvous));
  const refused = (await Promise.allSettled(reports)).filter(({ status }) => status === "rejected");
  expect(refused.length).toBeGreaterThan(0);
  expect(refused[0]).toMatchObject({ reason: { code: "E_RATE" } });
  expect((await world.administration.rendezvous()).find((one) => one.name === name)?.isUp).toBe(true);
});

test("an activated rendezvous gets no second secret, and one that is not gets another", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  const second = activationKey(suite, Secret.fromBytes(random(32)), RENDEZVOUS_ACTIVATION);
  expect(await world.administration.addRendezvous(name, second.publicKey)).toBe("again");
  await expect(activateRendezvous(world.client(), rendezvous, key)).rejects.toMatchObject({ code: "E_CRAM_WRONG" });
  await activateRendezvous(world.client(), rendezvous, second);
  await expect(world.administration.addRendezvous(name, key.publicKey)).rejects.toMatchObject({ code: "E_NAME_TAKEN" });
});

test("what a rendezvous last reported still counts after a restart of the directory", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  await activateRendezvous(world.client(), rendezvous, key);
  await report(world.client(), rendezvous, 7);
  await world.pause();
  await world.resume();
  const known = (await world.administration.rendezvous()).find((summary) => summary.name === name);
  expect(known).toMatchObject({ isUp: true, legs: 7, addresses: rendezvous.addresses });
  await report(world.client(), rendezvous, 8);
});

test("who waits for a report finds it kept for the next start", async () => {
  const rendezvous = newRendezvous(["tcp://np.example.org:7801"]);
  await activateRendezvous(world.client(), rendezvous, key);
  const kept = world.directory.registry.reports.next(name, { signal: patience() }).then(() => world.store.reports());
  await report(world.client(), rendezvous);
  expect((await kept).map(([reporter]) => reporter)).toContain(name);
});

async function statementOf(answer: Promise<Frame>) {
  const frame = await answer;
  if (frame.type !== "rendezvous") throw new Error(`the directory answers ${frame.type}`);
  const { root } = await world.client().keyList({ signal: patience() });
  return verifyRendezvousStatement(suite, frame.statement, root).statement;
}
