import { afterAll, beforeAll, expect, test } from "vitest";
import { FRESHNESS_MS, MESSAGE_ID_MS, NONCE_MS, NONCE_PERIOD_MS } from "../../protocol/limits.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { encodeWithdraw } from "../../protocol/messages/session-request.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { parseName } from "../../keys/names.ts";
import { http, post, sealed } from "./raw.ts";
import { random, suite, TestClock, World } from "./world.ts";

const clock = new TestClock();
let world: World;
/** A member of this directory's: of strangers nothing is remembered. */
let sender: X25519PrivateKey;
let other: X25519PrivateKey;
beforeAll(async () => {
  world = await World.start({ clock });
  sender = (await world.activated("@acme", "laptop", "client")).x25519;
  other = (await world.activated("@other", "laptop", "client")).x25519;
});
afterAll(() => world[Symbol.asyncDispose]());

const question = { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) };
const time = (ahead: number) => ({ kind: "time", time: clock.now() + ahead }) as const;

test("a message counts within a minute of its time, before and after", async () => {
  for (const ahead of [-59_000, 0, 59_000]) {
    const message = await sealed(world.client(), sender, question, { freshness: time(ahead) });
    expect(await verdict(message)).toBe("done");
  }
  for (const ahead of [-3_600_000, -61_000, 61_000, 3_600_000]) {
    const message = await sealed(world.client(), sender, question, { freshness: time(ahead) });
    expect(await verdict(message)).toBe("E_CLOCK");
  }
});

test("a message that comes twice counts once, however it says that it is new", async () => {
  const nonce = await handedOut();
  for (const freshness of [time(0), time(59_000), { kind: "nonce", nonce } as const]) {
    const message = await sealed(world.client(), sender, question, { freshness });
    expect(await verdict(message)).toBe("done");
    for (let i = 0; i < 3; i++) expect(await verdict(message)).toBe("E_PROTOCOL");
  }
});

test("a hundred copies of a message at once count once", async () => {
  const message = await sealed(world.client(), sender, question, { freshness: time(0) });
  const verdicts = await Promise.all(Array.from({ length: 100 }, () => verdict(message)));
  expect(verdicts.filter((one) => one === "done")).toHaveLength(1);
  expect(verdicts.filter((one) => one === "E_PROTOCOL")).toHaveLength(99);
});

test("two messages with one id count once, whatever else is in them", async () => {
  const id = random(16);
  const withdraw = { type: REQUEST.withdraw, body: encodeWithdraw(random(16)) };
  const client = world.client();
  expect(await verdict(await sealed(client, sender, question, { freshness: time(0), id }))).toBe("done");
  expect(await verdict(await sealed(client, other, withdraw, { freshness: time(0), id }))).toBe("E_PROTOCOL");
});

test("a message that was recorded does not count after a restart either, by time or by nonce", async () => {
  const nonce = await handedOut();
  const recorded = [
    await sealed(world.client(), sender, question, { freshness: time(0) }),
    await sealed(world.client(), sender, question, { freshness: { kind: "nonce", nonce } }),
  ];
  for (const message of recorded) expect(await verdict(message)).toBe("done");
  await world.pause();
  await world.resume();
  for (const message of recorded) expect(await verdict(message)).toBe("E_PROTOCOL");
});

test("a message cannot come again at the very moment its id is forgotten, nor after it", async () => {
  const message = await sealed(world.client(), sender, question, { freshness: time(FRESHNESS_MS) });
  expect(await verdict(message)).toBe("done");
  clock.advance(MESSAGE_ID_MS);
  // This clock goes on between two lines: it is either the last moment of the id or past the message's time.
  expect(["E_PROTOCOL", "E_CLOCK"]).toContain(await verdict(message));
  clock.advance(1000);
  expect(await verdict(message)).toBe("E_CLOCK");
});

test("of strangers nothing is remembered, and they get no further than an activation", async () => {
  const { ids: known } = await world.store.remembered();
  const stranger = X25519PrivateKey.generate(suite, random);
  const start = { type: REQUEST.activationStart, body: encodeActivationStart(parseName("@acme")) };
  for (let i = 0; i < 5; i++) {
    expect(await verdict(await sealed(world.client(), stranger, question, { freshness: time(0) }))).toBe(
      "E_NOT_AUTHORIZED",
    );
    expect(await verdict(await sealed(world.client(), stranger, start, { freshness: time(0) }))).toBe("activation");
    expect(await verdict(await sealed(world.client(), stranger, start, { freshness: time(61_000) }))).toBe("E_CLOCK");
  }
  expect((await world.store.remembered()).ids).toHaveLength(known.length);
});

test("a nonce that was handed out counts until its time is over, after a restart too, and no other does", async () => {
  const nonce = await handedOut();
  const withNonce = (value: Uint8Array) =>
    sealed(world.client(), sender, question, { freshness: { kind: "nonce", nonce: value } });
  expect(await verdict(await withNonce(nonce))).toBe("done");
  expect(await verdict(await withNonce(random(16)))).toBe("E_CLOCK");
  await world.pause();
  await world.resume();
  clock.advance(NONCE_MS - NONCE_PERIOD_MS - 1);
  expect(await verdict(await withNonce(nonce))).toBe("done");
  clock.advance(NONCE_PERIOD_MS + 1);
  expect(await verdict(await withNonce(nonce))).toBe("E_CLOCK");
});

test("a message sealed to another directory, or to a key that is gone, is answered with the key list alone", async () => {
  await using elsewhere = await World.start();
  const foreign = await sealed(elsewhere.client(), sender, question);
  const { status, body } = await http(world.address.url, "/v1/messages", { method: "POST", body: foreign.bytes });
  expect(status).toBe(200);
  expect(body[0]).toBe(1);
  const text = Buffer.from(world.directory.keyring.keyList.text);
  expect(Buffer.from(body).includes(text)).toBe(true);
});

test("what is remembered of messages is forgotten when it is of no use any more", async () => {
  await using fresh = await World.start({ clock });
  const member = (await fresh.activated("@acme", "laptop", "client")).x25519;
  await post(fresh.client(), await sealed(fresh.client(), member, question, { freshness: time(0) }));
  expect((await fresh.store.remembered()).ids).toHaveLength(1);
  expect((await fresh.store.remembered()).nonces).toHaveLength(1);
  clock.advance(MESSAGE_ID_MS + 15_000);
  await expect.poll(async () => (await fresh.store.remembered()).ids).toHaveLength(0);
  await expect.poll(async () => (await fresh.store.remembered()).nonces).toHaveLength(0);
});

/** What the directory makes of it: the answer's frame, or the code of the refusal. */
async function verdict(message: { bytes: Uint8Array; responseSecret: Uint8Array }): Promise<string | undefined> {
  const { frames } = await post(world.client(), message);
  const frame = frames.at(-1);
  return frame?.type === "refused" ? frame.code : frame?.type;
}

async function handedOut(): Promise<Uint8Array> {
  const { frames } = await post(world.client(), await sealed(world.client(), sender, question, { freshness: time(0) }));
  const [welcome] = frames;
  if (welcome?.type !== "welcome") throw new Error("no welcome");
  return welcome.nonce;
}

test("two answers to the same bytes are sealed under different keys", async () => {
  const message = await sealed(world.client(), sender, question, { freshness: time(0) });
  const answers = await Promise.all(
    [0, 1].map(() => http(world.address.url, "/v1/messages", { method: "POST", body: message.bytes })),
  );
  const [first, second] = answers.map(({ body }) => Buffer.from(body.subarray(1, 33)).toString("hex"));
  expect(first).not.toBe(second);
});
