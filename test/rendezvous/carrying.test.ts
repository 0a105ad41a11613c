import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { expect, test } from "vitest";
import { SPLICE_BYTES } from "../../protocol/limits.ts";
import type { TicketEntry } from "../../protocol/ticket.ts";
import { type SpliceReport, splice } from "../../rendezvous/splice.ts";
import { Stalls } from "../../rendezvous/stalls.ts";
import { connectTo, dial, pair, readAll, type Serving, serve } from "./serving.ts";

const MiB = 1024 * 1024;
const TRANSPORTS = [
  ["tcp", "tcp"],
  ["ws", "ws"],
  ["tcp", "ws"],
] as const;

test.each(TRANSPORTS)("32 MiB go both ways at once between legs over %s and %s", async (one, two) => {
  await using serving = await serve();
  const [client, device] = await pairOver(serving, one, two);
  const results = await Promise.all([
    send(client, 32 * MiB, 1),
    send(device, 32 * MiB, 2),
    receive(client),
    receive(device),
  ]);
  expect(results[2]).toEqual(results[1]);
  expect(results[3]).toEqual(results[0]);
  const line = await serving.logged("session ended");
  expect(line).toMatchObject({ clientBytes: 32 * MiB, deviceBytes: 32 * MiB });
});

test.each(TRANSPORTS)("an end that has said all still hears the other: %s and %s", async (one, two) => {
  await using serving = await serve();
  for (const swap of [false, true]) {
    const legs = await pairOver(serving, one, two);
    const [first, second] = swap ? legs.toReversed() : legs;
    if (first === undefined || second === undefined) throw new Error("two legs");
    first.end("question");
    expect((await readAll(second)).toString()).toBe("question");
    expect(second.writable).toBe(true);
    second.write("a long ");
    second.end("answer");
    expect((await readAll(first)).toString()).toBe("a long answer");
    await serving.logged("session ended");
  }
});

test("what a client writes before the device is there arrives first, in order, its end included", async () => {
  await using serving = await serve();
  for (const transports of [["tcp"], ["ws"]]) {
    const session = serving.session();
    const entries = only(session.entries, transports);
    const client = await dial(serving.world, { ...session, entries }, "client");
    const early = Buffer.alloc(60 * 1024, "early data ");
    for (let at = 0; at < early.length; at += 1000) client.socket.write(early.subarray(at, at + 1000));
    client.socket.end();
    const device = await dial(serving.world, session, "device");
    expect((await readAll(device.socket)).equals(early)).toBe(true);
    device.socket.end();
    await client.joined;
  }
});

test.each(["tcp", "ws"])("a reader that stops slows the writer down, over %s, and loses nothing", async (transport) => {
  await using serving = await serve();
  const [client, device] = await pairOver(serving, transport, transport);
  const sent = send(client, 64 * MiB, 1);
  let accepted = 0;
  const count = (): number => client.writableLength;
  await settled(() => {
    accepted = (bytesSent.get(client) ?? 0) - count();
    return accepted;
  });
  // The rendezvous holds at most 512 KiB; the rest is in the kernel's buffers, three sockets on the way.
  expect(accepted).toBeGreaterThan(0);
  expect(accepted).toBeLessThan(48 * MiB);
  expect(await receive(device)).toEqual(await sent);
});

test("a splice never holds more than 512 KiB, however much is pushed into readers that have stopped", async () => {
  await using pipes = await twoConnections();
  const { ends, sides } = pipes;
  let most = 0;
  const held = (): number => {
    const now = sides.reduce((sum, side) => sum + side.readableLength + side.writableLength, 0);
    most = Math.max(most, now);
    return sides[0].bytesRead + sides[1].bytesRead;
  };
  for (const side of sides) side.prependListener("data", held);
  const ended = new Promise<SpliceReport>((onEnd) => {
    splice(
      { stream: sides[0], early: [] },
      { stream: sides[1], early: [] },
      { excerptBytes: 0, stalls: new Stalls(() => performance.now()), onEnd },
    );
  });
  const sent = [send(ends[0], 64 * MiB, 1), send(ends[1], 64 * MiB, 2)];
  const read = await settled(held);
  expect(read).toBeLessThan(96 * MiB);
  expect(await Promise.all([receive(ends[1]), receive(ends[0])])).toEqual(await Promise.all(sent));
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(SPLICE_BYTES);
  expect(await ended).toMatchObject({ fromClient: { bytes: 64 * MiB }, fromDevice: { bytes: 64 * MiB } });
});

test.each(["tcp", "ws"])(
  "when one end is cut off, the rendezvous lets go of the other one too (%s)",
  async (transport) => {
    await using serving = await serve();
    const session = serving.session();
    const entries = only(session.entries, [transport]);
    const device = await dial(serving.world, { ...session, entries }, "device");
    const client = await connectTo(serving.port);
    client.write(session.hello("client", 1));
    await device.joined;
    const ended = once(device.socket.resume(), transport === "tcp" ? "end" : "close");
    client.resetAndDestroy();
    await Promise.all([ended, serving.logged("session ended")]);
    expect(serving.server.legs).toBe(0);
    device.socket.end();
  },
);

test("closing a WebSocket leg without an end closes the other leg", async () => {
  await using serving = await serve();
  const [client, device] = await pairOver(serving, "ws", "tcp");
  const closed = once(device.resume(), "close");
  client.destroy();
  device.end();
  await closed;
  await serving.logged("session ended");
});

test("what was on its way when an end went still arrives", async () => {
  await using serving = await serve();
  const [client, device] = await pair(serving);
  client.write(Buffer.alloc(100_000, 7));
  client.end();
  await once(client, "finish");
  client.destroy();
  device.write(Buffer.alloc(MiB));
  expect(await readAll(device)).toHaveLength(100_000);
});

test("the first bytes of each direction are logged only when asked for, and no more than asked for", async () => {
  await using serving = await serve({ excerptBytes: 4 });
  const [client, device] = await pair(serving);
  for (const letter of "abcdef") client.write(letter);
  client.end();
  device.end("xy");
  await Promise.all([readAll(client), readAll(device)]);
  expect(await serving.logged("session ended")).toMatchObject({ clientExcerpt: "61626364", deviceExcerpt: "7879" });

  await using silent = await serve();
  const legs = await pair(silent);
  for (const leg of legs) leg.end("secret");
  await Promise.all(legs.map((leg) => readAll(leg)));
  const line = await silent.logged("session ended");
  expect(Object.keys(line)).not.toContain("clientExcerpt");
  expect(line).toMatchObject({ clientBytes: 6, deviceBytes: 6, sid: expect.stringMatching(/^[0-9a-f]{32}$/) });
});

async function pairOver(serving: Serving, one: string, two: string): Promise<[Duplex, Duplex]> {
  const session = serving.session();
  const client = await dial(serving.world, { ...session, entries: only(session.entries, [one]) }, "client");
  const device = await dial(serving.world, { ...session, entries: only(session.entries, [two]) }, "device");
  await Promise.all([client.joined, device.joined]);
  return [client.socket, device.socket];
}

/** The entries with only the addresses of these transports. */
function only(entries: readonly TicketEntry[], transports: readonly string[]): TicketEntry[] {
  return entries.map((entry) => ({
    ...entry,
    addresses: entry.addresses.filter((address) => transports.includes(address.split(":", 1)[0] ?? "")),
  }));
}

interface Transfer {
  readonly bytes: number;
  readonly sha256: string;
}

const bytesSent = new WeakMap<Duplex, number>();

/** Writes so many bytes in chunks of odd lengths, as fast as they are taken, then ends. */
async function send(stream: Duplex, total: number, seed: number): Promise<Transfer> {
  const source = createHash("shake256", { outputLength: 128 * 1024 })
    .update(`${seed}`)
    .digest();
  const hash = createHash("sha256");
  let sent = 0;
  for (let i = 0; sent < total; i++) {
    const length = Math.min(total - sent, 1 + ((i * 7919 + seed) % 100_000));
    const at = (i * 31) % (source.length - length);
    const chunk = source.subarray(at, at + length);
    hash.update(chunk);
    sent += chunk.length;
    bytesSent.set(stream, sent);
    if (!stream.write(chunk)) await once(stream, "drain");
  }
  stream.end();
  return { bytes: sent, sha256: hash.digest("hex") };
}

async function receive(stream: Duplex): Promise<Transfer> {
  const hash = createHash("sha256");
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    hash.update(chunk);
  });
  await once(stream, "end");
  return { bytes, sha256: hash.digest("hex") };
}

/** Waits until a number has stopped rising; it may be called too early, which only makes the test easier to pass. */
async function settled(look: () => number): Promise<number> {
  let last = -1;
  await expect
    .poll(() => [last, (last = look())], { interval: 400, timeout: 20_000 })
    .toSatisfy(([a, b]) => a === b && b > 0);
  return last;
}

interface TwoConnections extends AsyncDisposable {
  /** The far ends. */
  readonly ends: readonly [Socket, Socket];
  /** The near sides of the same connections, to be spliced. */
  readonly sides: readonly [Socket, Socket];
}

async function twoConnections(): Promise<TwoConnections> {
  const server = createServer({ allowHalfOpen: true, highWaterMark: 16 * 1024 }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = address === null || typeof address === "string" ? 0 : address.port;
  const open = async (): Promise<[Socket, Socket]> => {
    const accepted = once(server, "connection");
    const end = await connectTo(port);
    const [side] = (await accepted) as [Socket];
    return [end, side];
  };
  const [one, two] = [await open(), await open()];
  const close = async (): Promise<void> => {
    for (const socket of [...one, ...two]) socket.destroy();
    await once(server.close(), "close");
  };
  return { ends: [one[0], two[0]], sides: [one[1], two[1]], [Symbol.asyncDispose]: close };
}
