import { once, setMaxListeners } from "node:events";
import { connect as connectTls } from "node:tls";
import { connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { HEADERS_MS, HELLOS_AT_ONCE, LINK_HELLO_MS, STRANGERS } from "../../protocol/limits.ts";
import { SELF_SIGNED } from "./certificate.ts";
import { dial, http } from "./raw.ts";
import { connectRaw, helloBytes } from "./raw-link.ts";
import { next, send, TestLink } from "./streams.ts";
import { activate, newPerson, patience, sessionMessage, TestClock, World } from "./world.ts";
import { parseMember, parseName } from "../../keys/names.ts";

const UPGRADE =
  "GET /v1/link HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
/** A WebSocket message of one byte, masked with zeros. */
const ONE_BYTE = Buffer.of(0x82, 0x81, 0, 0, 0, 0, 7);
/** The beginning of the last fragment of a message, which announces more than comes. */
const PART_OF_A_FRAGMENT = Buffer.of(0x80, 0x80 | 100, 0, 0, 0, 0, 7, 7, 7);
const CONNECTIONS = 40;

test("a herd over a slow line, each of which needs a while from its connection to its hello, gets in whole", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock, maxConnections: 19_000 });
  const device = await world.activated("@device", "mygateway", "device");
  const client = world.client();
  await client.keyList({ signal: patience() });
  const signal = AbortSignal.timeout(110_000); // a thousand handshakes, on a busy machine
  setMaxListeners(0, signal);
  const links = await Promise.all(Array.from({ length: STRANGERS + 100 }, () => connectRaw(world, { signal })));
  clock.leap(300);
  const silent = [...links];
  const takeTurns = async (): Promise<void> => {
    for (let link = silent.pop(); link !== undefined; link = silent.pop()) {
      link.socket.send(await helloBytes(client, device, clock.now()));
      await link.message(); // a welcome, or the test's time is up
    }
  };
  await Promise.all(Array.from({ length: 32 }, takeTurns));
  for (const { socket } of links) socket.terminate();
}, 120_000);

test("who says something else than a device's hello makes room as if he had said nothing", async () => {
  await using world = await World.start({ clock: new TestClock(), maxConnections: CONNECTIONS });
  const device = await world.activated("@device", "mygateway", "device");
  const link = await TestLink.open(world, device);
  const sockets: Socket[] = [];
  for (let i = 0; i < CONNECTIONS / 2; i++) {
    const socket = await dial(world.address.url);
    sockets.push(socket);
    socket.write(UPGRADE);
    await received(socket, "101 Switching Protocols");
    socket.write(ONE_BYTE);
    await received(socket, "\x88"); // it is told that this was no hello, and stays all the same
  }
  const ended = Promise.all(sockets.slice(0, 5).map((socket) => once(socket, "close", { signal: patience() })));
  for (let i = 0; i < 5; i++) sockets.push(await dial(world.address.url));
  await ended;
  expect(world.directory.presence.get(device)).toBeDefined();
  link.link.close();
  for (const socket of sockets) socket.destroy();
});

test("hellos that stand still in their middle hold up nobody's: others are served at once, and they are let go in time", async () => {
  const clock = new TestClock();
  await using world = await World.start({ clock });
  await world.rendezvous();
  const device = await world.activated("@device", "mygateway", "device");
  const client = await world.activated("@client", "laptop", "client");
  const halfHello = halfOf(await helloBytes(world.client(), device, clock.now()));
  const sockets: Socket[] = [];
  let closed = 0;
  for (let i = 0; i < HELLOS_AT_ONCE + 64; i++) {
    const socket = await dial(world.address.url);
    sockets.push(socket);
    socket.once("close", () => (closed += 1));
    socket.write(UPGRADE);
    await received(socket, "101 Switching Protocols");
    socket.write(halfHello);
    await received(socket, "\x8a"); // the answer to its ping: what came before it is read
    socket.write(PART_OF_A_FRAGMENT);
  }

  const link = await TestLink.open(world, device);
  const message = sessionMessage(client, device);
  const frames = send(world, client, message);
  await next(frames, "ticket");
  expect((await link.notified()).prologue.sid).toEqual(message.sid);
  clock.advance(LINK_HELLO_MS - 2000);
  expect((await http(world.address.url, "/healthz")).status).toBe(200); // whoever was let go of would be known to be by now
  expect(closed).toBe(0);
  clock.advance(4000);
  await expect.poll(() => closed, { timeout: 20_000 }).toBe(sockets.length);
  expect(world.directory.presence.get(device)).toBeDefined();
  link.link.close();
}, 60_000);

test("who does not come to the end of the TLS handshake makes room, too, and who has a link over TLS does not", async () => {
  await using world = await World.start({ clock: new TestClock(), maxConnections: CONNECTIONS, tls: SELF_SIGNED });
  const address = parseDirectoryAddress(world.address.text.replace("http:", "https:"));
  const secret = await world.addName(parseName("@device"));
  const device = newPerson(parseName("@device"), parseMember("mygateway"), "device");
  await activate(world.client({ address }), device, secret);
  const link = await TestLink.open(world, device, { client: world.client({ address }) });
  const silent: Socket[] = [];
  const first = await dial(world.address.url);
  const ended = once(first.resume(), "close", { signal: AbortSignal.timeout(HEADERS_MS / 2) });
  for (let i = 0; i < CONNECTIONS / 2; i++) silent.push(await dial(world.address.url));
  await ended;
  const handshake = connectTls({ port: Number(world.address.url.port), host: "127.0.0.1", rejectUnauthorized: false });
  await once(handshake, "secureConnect", { signal: patience() });
  expect(world.directory.presence.get(device)).toBeDefined();
  link.link.close();
  for (const socket of [...silent, handshake]) socket.destroy();
});

test.each([
  ["/elsewhere", "", "404"],
  ["/v1/link", "Origin: https://example.org\r\n", "403"],
])(
  "a refused upgrade to %s is closed, however long its client keeps its own side open",
  async (path, header, status) => {
    await using world = await World.start();
    const options = { port: Number(world.address.url.port), host: "127.0.0.1", allowHalfOpen: true };
    const socket = connect(options).on("error", () => {});
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.write(UPGRADE.replace("/v1/link", path).replace("Host: x\r\n", `Host: x\r\n${header}`));
    await received(socket, status);
    // Only a connection that the directory has let go of answers more bytes with a reset.
    const writing = setInterval(() => socket.write("x"), 10);
    await closed.finally(() => clearInterval(writing));
  },
);

/** Resolves when that has come. */
async function received(socket: Socket, text: string): Promise<void> {
  const signal = patience();
  for (;;) {
    const [bytes] = (await once(socket, "data", { signal })) as [Buffer];
    if (bytes.toString("latin1").includes(text)) return;
  }
}

/** The first half of a message as the first fragment of a WebSocket message, and a ping, masked with zeros (RFC 6455 section 5). */
function halfOf(message: Uint8Array): Uint8Array {
  const half = message.subarray(0, message.length / 2);
  const mask = [0, 0, 0, 0];
  return Buffer.concat([
    Buffer.of(0x02, 0xfe, half.length >> 8, half.length & 0xff, ...mask),
    half,
    Buffer.of(0x89, 0x80, ...mask),
  ]);
}
