import { once } from "node:events";
import { readdirSync } from "node:fs";
import { request } from "node:http";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { WebSocket } from "ws";
import { concat } from "../../keys/bytes.ts";
import { LEG_PREFIX, LEG_STATUS, type LegStatus } from "../../protocol/leg-hello.ts";
import { ARRIVING_LEGS, EARLY_DATA_BYTES, HELLO_BYTES, HELLO_MS, UNPAIRED_LEG_MS } from "../../protocol/limits.ts";
import { USUAL_LIMITS } from "../../rendezvous/lobby-limits.ts";
import { originOf } from "../../rendezvous/origin.ts";
import { connectTo, dial, pair, readAll, readBytes, type Serving, serve } from "./serving.ts";
import { newBoot, newKey, newSession, newWorld } from "./world.ts";

test("a hello may come byte by byte, and what follows it is the peer's", async () => {
  await using serving = await serve();
  const session = serving.session();
  const client = await connectTo(serving.port);
  for (const byte of concat(session.hello("client", 1), Buffer.from("early"))) {
    client.write(Uint8Array.of(byte));
    await new Promise(setImmediate);
  }
  const device = await connectTo(serving.port);
  device.write(session.hello("device", 1));
  expect(await readBytes(device, 6)).toEqual(Buffer.from("\0early"));
  device.write("late");
  expect(await readBytes(client, 5)).toEqual(Buffer.from("\0late"));
});

test("the borders of WebSocket messages mean nothing", async () => {
  await using serving = await serve();
  const session = serving.session();
  const webSocket = await openWebSocket(serving);
  const bytes = concat(session.hello("client", 1), Buffer.from("early"));
  for (let at = 0; at < bytes.length; at += 7) webSocket.send(bytes.subarray(at, at + 7));
  const device = await connectTo(serving.port);
  device.write(session.hello("device", 1));
  expect(await readBytes(device, 6)).toEqual(Buffer.from("\0early"));
  webSocket.terminate();
});

test("legs are refused with a word each, and then closed", async () => {
  await using serving = await serve();
  const { world } = serving;
  const session = serving.session();
  const first = await connectTo(serving.port);
  first.write(session.hello("client", 3));
  await expect.poll(() => serving.server.legs).toBe(1);

  const expires = Date.now() - 1;
  const other = newKey();
  const entries = [{ key: other.publicKey, boot: world.boot, addresses: ["tcp://np.example.org:7801"] }];
  const refusals: [LegStatus, Uint8Array][] = [
    ["replayed", session.hello("client", 3)],
    ["ticket", newSession(world, { expires }).hello("client", 1)],
    ["elsewhere", newSession(world, { entries }).hello("client", 1, { rendezvous: other })],
    ["malformed", session.hello("client", 4, { boot: newBoot() })],
    ["malformed", Uint8Array.of(0, 0xff, 0xff)],
    ["malformed", Uint8Array.of(0, 0, 0)],
  ];
  for (const [status, bytes] of refusals) expect(await answerTo(serving, bytes)).toEqual(Buffer.of(LEG_STATUS[status]));
  const second = await connectTo(serving.port);
  second.write(session.hello("client", 4));
  expect(await readAll(first)).toEqual(Buffer.of(LEG_STATUS.replaced));
});

test("a hello for another boot is told of this one", async () => {
  await using serving = await serve();
  const before = { ...serving.world, boot: newBoot() };
  const answer = await answerTo(serving, newSession(before).hello("device", 1));
  expect(answer).toEqual(Buffer.from([LEG_STATUS.boot, ...serving.world.boot]));
});

test("a hello with any one byte changed is never joined, and the right one still is", async () => {
  await using serving = await serve();
  const session = serving.session();
  const bytes = session.hello("client", 1);
  const device = await connectTo(serving.port);
  device.write(session.hello("device", 1));
  const sockets = await Promise.all(
    Array.from(bytes, async (byte, at) => {
      const changed = bytes.slice();
      changed[at] = byte ^ (1 << (at % 8));
      const socket = await connectTo(serving.port);
      socket.write(changed);
      return socket;
    }),
  );
  // All but the one whose first byte is another: that one is closed at once.
  await expect.poll(() => serving.server.legs).toBe(bytes.length);
  serving.pass(HELLO_MS);
  for (const answer of await Promise.all(sockets.map((socket) => readAll(socket))))
    expect(answer[0] ?? LEG_STATUS.malformed).not.toBe(LEG_STATUS.joined);
  const client = await connectTo(serving.port);
  client.write(bytes);
  expect(await readBytes(client, 1)).toEqual(Buffer.of(LEG_STATUS.joined));
  device.destroy();
});

test("a leg that says nothing, too little, or nothing to its peer is let go in time", async () => {
  await using serving = await serve();
  const session = serving.session();
  const silent = await connectTo(serving.port);
  const partial = await connectTo(serving.port);
  partial.write(session.hello("client", 1).subarray(0, 50));
  const http = await connectTo(serving.port);
  http.write("GET /healthz HTTP/1.1\r\nX: ");
  await expect.poll(() => serving.server.legs).toBe(3);
  await expect.poll(() => partial.bytesWritten).toBe(50);
  serving.pass(HELLO_MS);
  expect(await readAll(silent)).toHaveLength(0);
  expect(await readAll(partial)).toEqual(Buffer.of(LEG_STATUS.malformed));
  expect(await readAll(http)).toHaveLength(0);

  const lonely = await connectTo(serving.port);
  lonely.write(session.hello("client", 1));
  await serving.logged("leg said hello");
  serving.pass(UNPAIRED_LEG_MS);
  expect(await readAll(lonely)).toEqual(Buffer.of(LEG_STATUS.unpaired));
  serving.pass(HELLO_MS);
  await expect.poll(() => serving.server.legs).toBe(0);
});

test("a leg still meets its other end when hundreds that say nothing arrive between it and its hello", async () => {
  await using serving = await serve();
  const session = serving.session();
  const [client, device] = [await connectTo(serving.port), await connectTo(serving.port)];
  const silent = await Promise.all(Array.from({ length: ARRIVING_LEGS + 100 }, () => connectTo(serving.port)));
  await expect.poll(() => serving.server.legs).toBe(2 + silent.length);
  client.write(session.hello("client", 1));
  device.write(session.hello("device", 1));
  for (const leg of [client, device]) expect(await readBytes(leg, 1)).toEqual(Buffer.of(LEG_STATUS.joined));
  for (const socket of [client, device, ...silent]) socket.destroy();
});

test("a leg that floods before it is paired is refused, one that stays below 64 KiB is not", async () => {
  await using serving = await serve();
  const session = serving.session();
  const flood = await connectTo(serving.port);
  flood.write(session.hello("client", 1));
  flood.write(Buffer.alloc(EARLY_DATA_BYTES + 1));
  expect(await readAll(flood)).toEqual(Buffer.of(LEG_STATUS.malformed));
  const client = await connectTo(serving.port);
  client.write(session.hello("client", 2));
  client.write(Buffer.alloc(EARLY_DATA_BYTES, 1));
  const device = await connectTo(serving.port);
  device.write(session.hello("device", 1));
  expect(await readBytes(device, 1 + EARLY_DATA_BYTES)).toHaveLength(1 + EARLY_DATA_BYTES);
});

test("a ticket key that is not known is asked for, and the legs wait for the answer", async () => {
  await using serving = await serve();
  const ticketKey = newKey();
  const session = newSession(serving.world, { ticketKey });
  const [client, device] = [await connectTo(serving.port), await connectTo(serving.port)];
  client.write(session.hello("client", 1));
  device.write(session.hello("device", 1));
  await expect.poll(() => serving.asked()).toBe(2);
  serving.server.useKeyList({ ticket: [ticketKey.publicKey], expires: Date.now() + 60_000 });
  expect(await Promise.all([readBytes(client, 1), readBytes(device, 1)])).toEqual([Buffer.of(0), Buffer.of(0)]);
});

test("whatever is neither a leg nor GET is closed without a word", async () => {
  await using serving = await serve();
  const strangers = [
    "SSH-2.0-x\r\n",
    "\x16\x03\x01\x02\x00",
    "POST / HTTP/1.1\r\n\r\n",
    "GETTY",
    "G\n",
    "\x01",
    "get /",
  ];
  for (const text of strangers) {
    const socket = await connectTo(serving.port);
    socket.write(Buffer.from(text, "latin1"));
    expect(await readAll(socket)).toHaveLength(0);
  }
});

test("GET /healthz says that it lives, /readyz whether tickets can be verified, however slowly they are asked", async () => {
  await using serving = await serve();
  expect(await get(serving, "/healthz")).toEqual([200, "ok\n"]);
  const slow = await connectTo(serving.port);
  for (const letter of "GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n") {
    slow.write(letter);
    await new Promise(setImmediate);
  }
  expect((await readAll(slow)).toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok\n$/);
  expect(await get(serving, "/readyz")).toEqual([200, "ready\n"]);
  expect(await get(serving, "/")).toEqual([404, "not found\n"]);
  expect(await get(serving, "/v1/leg")).toEqual([404, "not found\n"]);
  serving.server.useKeyList({ ticket: [], expires: 0 });
  await expect.poll(() => get(serving, "/readyz"), { timeout: 10_000 }).toEqual([503, "not ready\n"]);
  expect(await get(serving, "/healthz")).toEqual([200, "ok\n"]);
});

test("a WebSocket is taken at /v1/leg alone, and not from a page in a browser", async () => {
  await using serving = await serve();
  const status = async (path: string, options = {}): Promise<unknown> => {
    const webSocket = new WebSocket(`ws://127.0.0.1:${serving.port}${path}`, options);
    const [error] = await once(webSocket, "error");
    return error.message;
  };
  expect(await status("/v1/leg", { origin: "https://example.org" })).toContain("403");
  expect(await status("/v1/legs")).toContain("404");
});

test("text, a message above 64 KiB and a flood of fragments end a WebSocket leg", async () => {
  await using serving = await serve();
  const breaches: ((webSocket: WebSocket) => void)[] = [
    (webSocket) => webSocket.send("text"),
    (webSocket) => webSocket.send(Buffer.alloc(EARLY_DATA_BYTES + 1)),
    (webSocket) => Array.from({ length: 20 }, () => webSocket.send(Buffer.of(0), { fin: false })),
  ];
  for (const breach of breaches) {
    const webSocket = await openWebSocket(serving);
    breach(webSocket);
    await once(webSocket, "close");
  }
  await expect.poll(() => serving.server.legs).toBe(0);
});

test("one address has 32 legs that wait; the next is closed at once, those of others and joined ones are not", async () => {
  let origin = "one";
  await using serving = await serve({ originOf: () => origin });
  await pair(serving);
  const waiting = await Promise.all(Array.from({ length: 32 }, () => connectTo(serving.port)));
  await expect.poll(() => serving.server.legs).toBe(34);
  const next = await connectTo(serving.port);
  expect(await readAll(next)).toHaveLength(0);
  origin = "another";
  const session = serving.session();
  await pair(serving, session);
  for (const socket of waiting) socket.destroy();
  await expect.poll(() => serving.server.legs).toBe(4);
  origin = "one";
  await pair(serving);
});

test("what one address has too many of, sessions or connections in a second, is closed unread, and others come in", async () => {
  let origin = "one";
  const legsPerOrigin = 4;
  const arrivals = { perSecond: 1e-6, burst: 5 };
  await using serving = await serve({ originOf: () => origin, limits: { ...USUAL_LIMITS, legsPerOrigin, arrivals } });
  const isTaken = async (): Promise<boolean> => {
    const socket = await connectTo(serving.port);
    socket.write(Uint8Array.of(LEG_PREFIX, 0, 0));
    const { length } = await readAll(socket);
    socket.destroy();
    await expect.poll(() => serving.server.legs).toBe(legsPerOrigin);
    return length > 0;
  };
  await pair(serving);
  await pair(serving, serving.session());
  await expect.poll(() => serving.server.legs).toBe(legsPerOrigin);
  expect(await isTaken()).toBe(false);
  origin = "another";
  for (let i = 0; i < arrivals.burst; i += 1) expect(await isTaken()).toBe(true);
  expect(await isTaken()).toBe(false);
  origin = "third";
  expect(await isTaken()).toBe(true);
});

test("an IPv6 network counts as one address, a mapped IPv4 address as that, and loopback as nobody's", () => {
  expect(originOf("2001:db8:1:2::1")).toBe(originOf("2001:db8:1:ff:ffff::9"));
  expect(originOf("2001:db8:1:2::1")).not.toBe(originOf("2001:db8:1:102::1"));
  expect(originOf("::ffff:192.0.2.1")).toBe(originOf("192.0.2.1"));
  expect(originOf("64:ff9b::192.0.2.1")).toBe(originOf("192.0.2.1"));
  expect(originOf("192.0.2.1")).not.toBe(originOf("192.0.2.2"));
  const nobodys = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", undefined];
  expect(nobodys.map((address) => originOf(address))).toEqual(nobodys.map(() => undefined));
});

test("bytes of any kind leave the rendezvous as it was", async () => {
  const world = newWorld();
  const ticket = [world.ticketKey.publicKey];
  const askForKeys = (): void => serving.server.useKeyList({ ticket, expires: Date.now() + 60_000 });
  await using serving = await serve({ world, askForKeys });
  const hello = serving.session().hello("client", 1);
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 2 * HELLO_BYTES }),
    fc.uint8Array({ maxLength: 100 }).map((rest) => concat(Uint8Array.of(0), rest)),
    fc.uint8Array({ maxLength: 100 }).map((rest) => concat(Buffer.from("GET "), rest)),
    fc.tuple(fc.nat(hello.length - 1), fc.uint8Array({ minLength: 1, maxLength: 20 })).map(([at, patch]) => {
      const patched = hello.slice();
      patched.set(patch.subarray(0, hello.length - at), at);
      return patched;
    }),
  );
  const before = openFiles();
  await fc.assert(
    fc.asyncProperty(bytes, fc.boolean(), async (sent, rude) => {
      const socket = await connectTo(serving.port);
      if (rude) {
        socket.write(sent, () => socket.destroy());
        await once(socket, "close");
      } else {
        socket.end(sent);
        const answer = await readAll(socket);
        expect(answer[0]).not.toBe(LEG_STATUS.joined);
      }
    }),
    { numRuns: 300 },
  );
  serving.pass(HELLO_MS);
  await expect.poll(() => serving.server.legs).toBe(0);
  await expect.poll(() => openFiles()).toBeLessThanOrEqual(before);
  await pair(serving);
});

test("after hundreds of legs of every fate all descriptors are given back", async () => {
  await using serving = await serve();
  await pair(serving);
  await expect.poll(() => serving.server.legs).toBe(2);
  const before = openFiles();
  for (let round = 0; round < 10; round++) {
    const fates = Array.from({ length: 20 }, async (_, i) => {
      const session = serving.session();
      const [client, device] = await pair(serving, session);
      if (i % 3 === 0) client.destroy();
      else client.end();
      device.end();
      await Promise.all([readAll(client), readAll(device)]);
      const lonely = await dial(serving.world, serving.session(), "client");
      lonely.socket.destroy();
      await expect(lonely.joined).rejects.toMatchObject({ code: "E_RENDEZVOUS" });
      const socket = await connectTo(serving.port);
      socket.end(Buffer.from([0, 0, 9, i]));
      await readAll(socket);
      socket.destroy();
    });
    await Promise.all(fates);
  }
  serving.pass(UNPAIRED_LEG_MS);
  await expect.poll(() => serving.server.legs).toBe(2);
  await expect.poll(() => openFiles()).toBeLessThanOrEqual(before);
});

test("the log names sessions by their random id, and addresses at debug alone", async () => {
  await using serving = await serve();
  const [client, device] = await pair(serving);
  client.end();
  device.end();
  await serving.logged("session ended");
  await answerTo(serving, Uint8Array.of(0, 0, 0));
  const above = serving.log.filter(({ level }) => Number(level) > 20);
  expect(above.length).toBeGreaterThan(0);
  for (const line of above) expect(JSON.stringify(line)).not.toContain("127.0.0.1");
  expect(JSON.stringify(serving.log)).toContain("127.0.0.1");
});

async function answerTo(serving: Serving, bytes: Uint8Array): Promise<Buffer> {
  const socket = await connectTo(serving.port);
  socket.write(bytes);
  const answer = await readAll(socket);
  socket.destroy();
  return answer;
}

async function openWebSocket({ port }: Serving): Promise<WebSocket> {
  const webSocket = new WebSocket(`ws://127.0.0.1:${port}/v1/leg`, { perMessageDeflate: false });
  webSocket.on("error", () => {});
  await once(webSocket, "open");
  return webSocket;
}

function get({ port }: Serving, path: string): Promise<[number | undefined, string]> {
  return new Promise((resolve, reject) => {
    request({ host: "127.0.0.1", port, path, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () => resolve([response.statusCode, text]));
    })
      .on("error", reject)
      .end();
  });
}

function openFiles(): number {
  return readdirSync("/proc/self/fd").length;
}
