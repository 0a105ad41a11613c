import { once } from "node:events";
import type { Socket } from "node:net";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { concat } from "../../keys/bytes.ts";
import { parseName } from "../../keys/names.ts";
import { X25519PrivateKey } from "../../keys/x25519.ts";
import { BODIES_BYTES, BODY_PIECES, SEALED_MESSAGE_BYTES } from "../../protocol/limits.ts";
import { encodeActivationStart } from "../../protocol/messages/activation.ts";
import { parseSessionRequest } from "../../protocol/messages/session-request.ts";
import { REQUEST } from "../../protocol/messages/types.ts";
import { dial, http, post, sealed } from "./raw.ts";
import {
  activateMessage,
  newPerson,
  patience,
  type Person,
  random,
  sessionMessage,
  suite,
  World,
  putMessage,
} from "./world.ts";
import { parseMember } from "../../keys/names.ts";
import { Secret } from "../../keys/secret.ts";

let world: World;
let client: Person;
let device: Person;
beforeAll(async () => {
  world = await World.start();
  client = await world.activated("@client", "laptop-client", "client");
  device = await world.activated("@device", "mygateway", "device");
});
afterAll(() => world[Symbol.asyncDispose]());

const sender = X25519PrivateKey.generate(suite, random);
const question = { type: REQUEST.activationStart, body: encodeActivationStart(parseName("@acme")) };

test("the routes are few, and what is at none of them is not told", async () => {
  expect(await http(world.address.url, "/healthz")).toEqual({ status: 200, body: Buffer.from("ok\n") });
  expect((await http(world.address.url, "/v1/keys")).status).toBe(200);
  for (const [method, path] of [
    ["GET", "/"],
    ["GET", "/v1/messages"],
    ["POST", "/v1/keys"],
    ["POST", "/healthz"],
    ["GET", "/v1/link"],
    ["GET", "/v1/keys?x=1"],
    ["GET", "/v1/../v1/keys/"],
    ["GET", "/%2e%2e/%2e%2e/etc/passwd"],
    ["PUT", "/v1/messages"],
    ["OPTIONS", "/v1/messages"],
  ] as const) {
    const answer = await http(world.address.url, path, { method });
    expect([path, answer.status, answer.body.length]).toEqual([path, 404, 0]);
  }
});

test("a body that is no sealed message is refused without a word", async () => {
  const answers = await Promise.all(
    [new Uint8Array(0), random(1), random(104), random(5000), Uint8Array.of(1, ...random(200))].map((body) =>
      http(world.address.url, "/v1/messages", { method: "POST", body }),
    ),
  );
  for (const { status, body } of answers) {
    // 9 bytes of another key's id look like a message to a key that is gone, which is answered with the public key list.
    expect([200, 400, 415]).toContain(status);
    if (status !== 200) expect(body).toHaveLength(0);
    else expect(body[0]).toBe(1);
  }
});

test("a body that is too long is refused when it becomes so, said or not", async () => {
  const body = random(SEALED_MESSAGE_BYTES + 1);
  expect((await http(world.address.url, "/v1/messages", { method: "POST", body })).status).toBe(413);
  const headers = { "transfer-encoding": "chunked" };
  expect((await http(world.address.url, "/v1/messages", { method: "POST", body, headers })).status).toBe(413);
  const socket = await dial(world.address.url);
  socket.write("POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
  const [answer] = (await once(socket, "data", { signal: patience() })) as [Buffer];
  expect(answer.toString()).toMatch(/^HTTP\/1.1 413 /);
  socket.destroy();
});

test("a body in a great many pieces ends its connection, however short it is", async () => {
  const socket = await dial(world.address.url);
  const head = "POST /v1/messages HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  socket.write(head + "1\r\nx\r\n".repeat(BODY_PIECES + 1));
  await untilClosed(socket.resume());
});

test("bodies that never become whole make room for others, the one begun first at first", async () => {
  const count = Math.ceil(BODIES_BYTES / (SEALED_MESSAGE_BYTES - 1)) + 1;
  const head = `POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: ${SEALED_MESSAGE_BYTES}\r\n\r\n`;
  const first = await dial(world.address.url);
  const ended = untilClosed(first.resume());
  first.write(head);
  first.write(Buffer.alloc(SEALED_MESSAGE_BYTES - 1));
  const others = await Promise.all(Array.from({ length: count }, () => dial(world.address.url)));
  for (const socket of others) {
    socket.write(head);
    socket.write(Buffer.alloc(SEALED_MESSAGE_BYTES - 1));
  }
  await ended;
  const { frames } = await post(world.client(), await sealed(world.client(), sender, question));
  expect(frames.at(-1)?.type).toBe("activation");
  for (const socket of others) socket.destroy();
});

test("bodies that never become whole, however short, do not stop one that does", async () => {
  const length = 1995;
  const head = `POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: ${length + 1}\r\n\r\n`;
  const count = Math.floor(BODIES_BYTES / length);
  const others = await Promise.all(Array.from({ length: count }, () => dial(world.address.url)));
  for (const socket of others) socket.write(Buffer.concat([Buffer.from(head), Buffer.alloc(length)]));
  const honest = world.client();
  for (let i = 0; i < 5; i++) {
    const long = { type: REQUEST.activationStart, body: Buffer.alloc(4000) };
    expect((await post(honest, await sealed(honest, sender, long))).status).toBe(200);
  }
  for (const socket of others) socket.destroy();
});

test("a head that is too long is refused", async () => {
  const socket = await dial(world.address.url);
  const closed = untilClosed(socket);
  socket.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${"a".repeat(64 * 1024)}\r\n\r\n`);
  await closed;
  expect(await http(world.address.url, "/healthz")).toMatchObject({ status: 200 });
});

test("hundreds of connections that say nothing, or too slowly, stop nobody and are ended", async () => {
  const slow = await Promise.all(Array.from({ length: 500 }, () => dial(world.address.url)));
  const ended = Promise.all(slow.map((socket) => untilClosed(socket)));
  for (const [i, socket] of slow.entries()) {
    socket.resume();
    if (i % 3 === 1) socket.write("POST /v1/messages HT");
    if (i % 3 === 2) socket.write("POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc");
  }
  const { frames } = await post(world.client(), await sealed(world.client(), sender, question));
  expect(frames.at(-1)?.type).toBe("activation");
  await ended;
}, 30_000);

test("any bytes at all to the message route leave the directory as it was", async () => {
  const genuine = (await sealed(world.client(), sender, question)).bytes;
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 600 }),
      fc.nat(genuine.length),
      fc.boolean(),
      async (bytes, cut, keepsHead) => {
        const body = keepsHead ? concat(genuine.subarray(0, cut), bytes) : bytes;
        const { status } = await http(world.address.url, "/v1/messages", { method: "POST", body });
        expect([200, 400, 415]).toContain(status);
      },
    ),
    { numRuns: 300 },
  );
  expect((await http(world.address.url, "/healthz")).status).toBe(200);
});

test("any body inside an authentic message is answered with a frame, whatever the message is said to be", async () => {
  const directory = world.client();
  const wellFormed = [
    sessionMessage(client, device),
    question,
    putMessage(device.binding),
    activateMessage(
      directory,
      newPerson(parseName("@acme"), parseMember("laptop"), "client"),
      Secret.fromBytes(random(32)),
      random(16),
    ),
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...wellFormed),
      fc.nat(255),
      fc.array(fc.tuple(fc.nat(3000), fc.nat(255)), { maxLength: 4 }),
      fc.option(fc.nat(3000)),
      async ({ type, body }, otherType, changes, cut) => {
        const changed = body.slice(0, cut ?? body.length);
        for (const [at, value] of changes) changed[at % Math.max(1, changed.length)] = value;
        const message = { type: changes.length % 2 === 0 ? type : otherType, body: changed };
        fc.pre(!asksToWait(message)); // its answer ends when the device comes
        const { status, frames } = await post(directory, await sealed(directory, client.x25519, message));
        expect(status).toBe(200);
        expect(frames[0]?.type).toBe("welcome");
        expect(frames.filter(({ type: kind }) => kind !== "keepAlive")).toHaveLength(2);
      },
    ),
    { numRuns: 300 },
  );
});

function asksToWait({ type, body }: { readonly type: number; readonly body: Uint8Array }): boolean {
  try {
    return type === REQUEST.session && parseSessionRequest(body).waitSeconds > 0;
  } catch {
    return false;
  }
}

test("statements that are not in canonical form are refused, whatever they would mean", async () => {
  const { text } = device.binding;
  const variants = [
    ` ${text}`,
    `${text}\n`,
    text.replace('"v":1', '"v":1.0'),
    text.replace('"v":1', '"v":1,"v":1'),
    text.replace('"v":1', '"__proto__":{"role":"client"},"v":1'),
    text.replace('"expires":null', '"expires":1e309'),
    text.replace('"expires":null', '"expires":null,"extra":1'),
    text.replace('"kind":"binding"', '"kind":"name"'),
    `[${"[".repeat(4000)}`,
    "null",
  ];
  for (const variant of variants) {
    const signature = device.binding.signature;
    const message = putMessage({ text: variant, signature });
    const { frames } = await post(world.client(), await sealed(world.client(), device.x25519, message));
    expect(frames.at(-1)?.type).toBe("refused");
  }
  expect((await world.store.member(device))?.newest.text).toBe(text);
});

test("names of any other form than the grammar's reach nothing", async () => {
  const names = [
    "acme",
    "@",
    "@Acme",
    "@аcme",
    "@acme\n",
    "@a b",
    "@../../etc/passwd",
    "@%2e%2e",
    "@a\0b",
    "@-a",
    "@a-",
    "@ａcme",
    "@a\u200db",
    `@${"a".repeat(33)}`,
    "@name:x",
  ];
  for (const name of names) {
    const bytes = new TextEncoder().encode(name);
    const message = { type: REQUEST.activationStart, body: Uint8Array.of(bytes.length, ...bytes) };
    const { frames } = await post(world.client(), await sealed(world.client(), sender, message));
    expect(frames.at(-1)).toEqual({ type: "refused", code: "E_PROTOCOL", detail: 0 });
  }
});

/** However it is closed, by a reset too. */
function untilClosed(socket: Socket): Promise<void> {
  socket.on("error", () => {});
  return new Promise((resolve) => {
    socket.once("close", () => resolve());
  });
}
