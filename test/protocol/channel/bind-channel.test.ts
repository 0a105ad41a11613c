import { createHash } from "node:crypto";
import { getEventListeners, once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { finished } from "node:stream/promises";
import { describe, expect, test } from "vitest";
import { bindChannel } from "../../../protocol/channel/bind-channel.ts";
import type { ChannelStream } from "../../../protocol/channel/stream-adapter.ts";
import { DATA_BYTES, LINGER_MS, PATH_DEAD_MS, PING_MS, SOCKET_QUEUE_BYTES } from "../../../protocol/limits.ts";
import { boundEnds, HandClock, HandPipe, portOf } from "./bound-ends.ts";
import { LIMITS, newChannel, RawPeer } from "./pair.ts";

const MIB = 1024 * 1024;
describe("over TCP", () => {
  test("64 MiB go both ways at once and arrive as they were sent", async () => {
    await using ends = await boundEnds();
    const [near, far] = await ends.openPair();
    const results = await Promise.all([
      sendRandom(near, 64 * MIB),
      sendRandom(far, 64 * MIB),
      hashOf(near),
      hashOf(far),
    ]);
    expect(results[2]).toBe(results[1]);
    expect(results[3]).toBe(results[0]);
  });

  test("40 streams at once each carry their own bytes, and none starves", async () => {
    await using ends = await boundEnds();
    ends.onOpen = (stream) => {
      stream.accept();
      stream.pipe(stream);
    };
    const echoes = Array.from({ length: 40 }, async (_, i) => {
      const stream = ends.client.open(`tcp:127.0.0.1:${i + 1}`);
      const [sent, echoed] = await Promise.all([sendRandom(stream, MIB), hashOf(stream)]);
      expect(echoed).toBe(sent);
    });
    await Promise.all(echoes);
  });

  test("each direction ends on its own", async () => {
    await using ends = await boundEnds();
    const [near, far] = await ends.openPair();
    near.end("question");
    expect((await readAll(far)).toString()).toBe("question");
    expect(far.writable).toBe(true);
    far.write("ans");
    expect((await once(near, "data")).toString()).toBe("ans");
    far.end("wer");
    expect((await readAll(near)).toString()).toBe("wer");
    await Promise.all([finished(near), finished(far)]);
  });

  test("a service behind a stream hears the end of the question and still answers", async () => {
    const service = createServer({ allowHalfOpen: true }, (socket) => {
      void readAll(socket).then((question) => socket.end(`${question.length} bytes`));
    }).listen(0, "127.0.0.1");
    await once(service, "listening");
    await using ends = await boundEnds();
    ends.onOpen = (stream) => {
      const socket = connect({ port: portOf(service), host: "127.0.0.1", allowHalfOpen: true }, () => stream.accept());
      stream.pipe(socket).pipe(stream);
    };
    const streams = Array.from({ length: 10 }, () => ends.client.open("tcp:127.0.0.1:7"));
    for (const stream of streams) stream.end(Buffer.alloc(MIB));
    for (const stream of streams) expect((await readAll(stream)).toString()).toBe("1048576 bytes");
    service.close();
    await once(service, "close");
  });

  test("data, END and CLOSE that arrive together are delivered to a slow reader in full", async () => {
    await using ends = await boundEnds();
    const [near, far] = await ends.openPair();
    far.end();
    await readAll(near);
    near.end(Buffer.alloc(3 * MIB, 7));
    await finished(near);
    ends.client.close("finished");
    expect(await ends.device.closed).toEqual({ how: "closed", by: "peer", code: "finished" });
    expect((await readAll(far)).equals(Buffer.alloc(3 * MIB, 7))).toBe(true);
  });

  test("what is written and ended ahead of the answer arrives once it is accepted", async () => {
    await using ends = await boundEnds();
    const requested = ends.nextOpen();
    const near = ends.client.open("ssh");
    near.end(Buffer.alloc(MIB, 5));
    const far = await requested;
    far.end("written before accept");
    far.accept();
    await Promise.all([near.opened, far.opened]);
    expect((await readAll(far)).length).toBe(MIB);
    expect((await readAll(near)).toString()).toBe("written before accept");
  });

  test("an END of the device ahead of its answer waits for it", async () => {
    await using ends = await boundEnds();
    const requested = ends.nextOpen();
    const near = ends.client.open("ssh");
    const far = await requested;
    far.end();
    far.accept();
    await readAll(near);
    near.end("received");
    expect((await readAll(far)).toString()).toBe("received");
  });

  test("what did not fit into the first flight follows as soon as the device has confirmed", async () => {
    const early: ChannelStream[] = [];
    await using ends = await boundEnds({
      atOnce: ({ client }) => {
        early.push(client.open("ssh"), client.open("ssh"), client.open("ssh"));
        for (const stream of early) stream.end(Buffer.alloc(LIMITS.earlyWindow, 1));
      },
      device: { onOpen: (stream) => stream.once("end", () => stream.accept()).resume() },
    });
    await Promise.all(early.map((stream) => stream.opened));
    expect(ends.clientSocket.bytesWritten).toBeGreaterThan(3 * LIMITS.earlyWindow);
  });

  test("a reader that stops makes the sender stop at the window, and other streams go on", async () => {
    await using ends = await boundEnds();
    const [near] = await ends.openPair();
    near.write(Buffer.alloc(64 * MIB));
    const [other, farther] = await ends.openPair();
    other.end(Buffer.alloc(16 * MIB, 3));
    expect((await readAll(farther)).length).toBe(16 * MIB);
    await ends.pong();
    const most = LIMITS.streamWindow + LIMITS.earlyWindow + 16 * MIB;
    expect(ends.deviceSocket.bytesRead).toBeGreaterThan(most - DATA_BYTES);
    expect(ends.deviceSocket.bytesRead).toBeLessThan(most * 1.01);
    expect(near.writableLength).toBeGreaterThan(50 * MIB); // still with the one who wrote it
  });

  test("a socket that stops makes the senders stop, each with one chunk", async () => {
    await using ends = await boundEnds();
    const streams: ChannelStream[] = [];
    for (let i = 0; i < 20; i++) streams.push((await ends.openPair())[0]);
    ends.deviceSocket.pause();
    let taken = 0;
    for (const near of streams) {
      const write = (): void => {
        taken += DATA_BYTES;
        near.write(Buffer.alloc(DATA_BYTES), write);
      };
      write();
    }
    await filled(ends.clientSocket);
    expect(ends.clientSocket.writableNeedDrain).toBe(true);
    const held = taken - ends.clientSocket.bytesWritten;
    expect(held).toBeLessThan(21 * DATA_BYTES + SOCKET_QUEUE_BYTES);
    expect(ends.clientSocket.writableLength).toBeLessThan(ends.clientSocket.writableHighWaterMark + 2 * DATA_BYTES);
    ends.deviceSocket.resume();
  });

  test("a socket that takes one record at a time serves all streams in turn", async () => {
    const pipe = new HandPipe();
    const options = { signal: new AbortController().signal, clock: new HandClock() };
    const client = bindChannel(newChannel("client"), pipe, options);
    const peer = new RawPeer("device");
    await pipe.deliver(peer.seal({ type: "confirm", next: 0 }));
    for (let stream = 1; stream <= 10; stream++) {
      client.open("ssh").write(Buffer.alloc(8 * DATA_BYTES));
      await pipe.deliver(peer.seal({ type: "opened", stream, window: MIB }));
    }
    const order: number[] = [];
    for (let turn = 0; turn < 60; turn++) {
      for (const record of peer.open(pipe.takeWritten())) if (record.type === "data") order.push(record.stream);
      await new Promise(setImmediate);
    }
    for (let stream = 1; stream <= 10; stream++) {
      expect(order.slice(0, 50).filter((number) => number === stream).length).toBeGreaterThan(2);
    }
    client.close("finished");
    pipe.destroy();
    await client.closed;
  });

  test("a refused stream is destroyed with the reason, the next one works", async () => {
    await using ends = await boundEnds();
    ends.onOpen = (stream) => stream.refuse(stream.service === "ssh" ? "unreachable" : "refused");
    const ssh = ends.client.open("ssh");
    await expect(ssh.opened).rejects.toMatchObject({ name: "UnavailableError", code: "E_UNREACHABLE" });
    await expect(finished(ssh)).rejects.toMatchObject({ code: "E_UNREACHABLE" });
    const port = ends.client.open("tcp:10.0.0.1:5432");
    await expect(finished(port)).rejects.toMatchObject({ name: "DeniedError", code: "E_DEVICE_REFUSED" });
    const [near, far] = await ends.openPair();
    near.end("hello");
    expect((await readAll(far)).toString()).toBe("hello");
  });

  test("a stream that is destroyed breaks off on the other side, and the next one works", async () => {
    await using ends = await boundEnds();
    const [near, far] = await ends.openPair();
    far.write(Buffer.alloc(3 * MIB));
    near.destroy(new Error("local"));
    await expect(finished(far)).rejects.toMatchObject({ code: "E_TRUNCATED" });
    const [second, farSecond] = await ends.openPair();
    second.end("hello");
    expect((await readAll(farSecond)).toString()).toBe("hello");
  });

  test("the 65th stream is refused here, without a word to the peer", async () => {
    await using ends = await boundEnds();
    for (let i = 0; i < LIMITS.streams; i++) await ends.openPair();
    expect(() => ends.client.open("ssh")).toThrow(expect.objectContaining({ code: "E_BUSY" }));
    await ends.pong();
  });
});

describe("the end", () => {
  test("by an abort closes as going away; every stream ends, and so do both sockets", async () => {
    const abort = new AbortController();
    await using ends = await boundEnds({ client: { signal: abort.signal } });
    const [near, far] = await ends.openPair();
    const broken = Promise.allSettled([finished(near), finished(far)]);
    near.write(Buffer.alloc(20 * MIB));
    abort.abort();
    expect(await ends.client.closed).toEqual({ how: "closed", by: "us", code: "going-away" });
    expect(await ends.device.closed).toEqual({ how: "closed", by: "peer", code: "going-away" });
    for (const result of await broken) expect(result).toMatchObject({ reason: { code: "E_TRUNCATED" } });
    expect([ends.clientSocket.destroyed, ends.deviceSocket.destroyed]).toEqual([true, true]);
    expect(() => ends.client.open("ssh")).toThrow(expect.objectContaining({ code: "E_TRUNCATED" }));
  });

  test("before it began, by a signal that was aborted already, is the same", async () => {
    await using ends = await boundEnds({ client: { signal: AbortSignal.abort() } });
    expect(await ends.client.closed).toEqual({ how: "closed", by: "us", code: "going-away" });
    expect(await ends.device.closed).toEqual({ how: "closed", by: "peer", code: "going-away" });
  });

  test("by a revocation tells the streams of the peer", async () => {
    await using ends = await boundEnds();
    const [near] = await ends.openPair();
    const broken = expect(finished(near)).rejects.toMatchObject({ name: "DeniedError", code: "E_NOT_AUTHORIZED" });
    ends.device.close("revoked");
    expect(await ends.client.closed).toEqual({ how: "closed", by: "peer", code: "revoked" });
    await broken;
  });

  test.each<[string, (socket: Socket) => void]>([
    ["ends", (socket) => socket.end()],
    ["is reset", (socket) => socket.resetAndDestroy()],
    ["is destroyed here", (socket) => socket.destroy()],
  ])("of a socket that %s without CLOSE is a truncation on both sides", async (_, stop) => {
    await using ends = await boundEnds();
    const [near, far] = await ends.openPair();
    const broken = Promise.allSettled([finished(near), finished(far)]);
    stop(ends.deviceSocket);
    expect(await ends.client.closed).toMatchObject({ how: "truncated" });
    expect((await ends.device.closed).how).toBe("truncated");
    for (const result of await broken) expect(result).toMatchObject({ reason: { code: "E_TRUNCATED" } });
  });

  test("by garbage on the path is a failure here and one code there", async () => {
    await using ends = await boundEnds();
    const [near] = await ends.openPair();
    const broken = expect(finished(near)).rejects.toMatchObject({ code: "E_PROTOCOL" });
    ends.deviceSocket.write(Buffer.alloc(100));
    expect(await ends.client.closed).toMatchObject({ how: "failed", error: { name: "PeerError", code: "E_PROTOCOL" } });
    expect(await ends.device.closed).toEqual({ how: "closed", by: "peer", code: "protocol-error" });
    await broken;
  });

  test("by an error of the owner reaches the owner, and the peer learns only that it failed", async () => {
    await using ends = await boundEnds();
    const mistake = new Error("a bug in onOpen");
    ends.onOpen = () => {
      throw mistake;
    };
    ends.client.open("ssh");
    expect(await ends.device.closed).toEqual({ how: "failed", error: mistake });
    expect(await ends.client.closed).toEqual({ how: "closed", by: "peer", code: "failed" });
  });

  test("of an owner without onOpen refuses what is asked for", async () => {
    await using ends = await boundEnds({ device: {} });
    await expect(finished(ends.client.open("ssh"))).rejects.toMatchObject({ code: "E_DEVICE_REFUSED" });
  });

  test("comes to a peer that makes us answer and never reads", async () => {
    const clock = new HandClock();
    const pipe = new HandPipe();
    const device = bindChannel(newChannel("device"), pipe, { signal: new AbortController().signal, clock });
    const peer = new RawPeer("client");
    pipe.push(peer.seal({ type: "confirm", next: 0 }));
    let most = 0;
    for (let stream = 1; stream < 100_000 && !pipe.writableEnded; stream++) {
      pipe.push(
        peer.seal({ type: "open", stream, window: 0, service: "ssh" }, { type: "reset", stream, code: "cancelled" }),
      );
      if (stream % 100 === 0) await new Promise(setImmediate);
      most = Math.max(most, pipe.writableLength);
    }
    clock.advance(LINGER_MS);
    expect(await device.closed).toMatchObject({ how: "failed", error: { message: expect.stringContaining("reads") } });
    expect(most).toBeGreaterThan(SOCKET_QUEUE_BYTES);
    expect(most).toBeLessThan(pipe.writableHighWaterMark + SOCKET_QUEUE_BYTES + 1000);
  });
});

describe("the heartbeat", () => {
  test("sends a PING every 15 s and tells the round trip", async () => {
    const clock = new HandClock();
    const trips: number[] = [];
    await using ends = await boundEnds({ client: { clock, onPong: (roundTripMs) => trips.push(roundTripMs) } });
    for (let i = 1; i <= 3; i++) {
      await ends.pong(() => clock.advance(PING_MS));
      expect(trips).toEqual(Array(i).fill(0));
    }
  });

  test("fails a path that is silent for 30 s after a PING", async () => {
    const clock = new HandClock();
    await using ends = await boundEnds({ client: { clock } });
    ends.deviceSocket.pause();
    clock.advance(PING_MS);
    clock.advance(PATH_DEAD_MS - 1);
    expect(ends.clientSocket.writableEnded).toBe(false);
    clock.advance(PING_MS);
    expect(ends.clientSocket.writableEnded).toBe(true);
    clock.advance(LINGER_MS);
    expect(await ends.client.closed).toMatchObject({
      how: "failed",
      error: { name: "UnavailableError", code: "E_TRUNCATED" },
    });
    expect(clock.waiting).toBe(0);
  });

  test("spares a path on which anything moves", async () => {
    const clock = new HandClock();
    const pipe = new HandPipe();
    const client = bindChannel(newChannel("client"), pipe, { signal: new AbortController().signal, clock });
    const peer = new RawPeer("device");
    await pipe.deliver(peer.seal({ type: "confirm", next: 0 }));
    pipe.takeWritten();
    clock.advance(PING_MS);
    for (let i = 0; i < 10; i++) {
      clock.advance(PATH_DEAD_MS - 1);
      await pipe.deliver(peer.seal({ type: "ping", value: 1n }));
      expect(pipe.writableEnded).toBe(false);
    }
    clock.advance(PATH_DEAD_MS + PING_MS);
    expect(pipe.writableEnded).toBe(true);
    clock.advance(LINGER_MS);
    expect(await client.closed).toMatchObject({ how: "failed", error: { code: "E_TRUNCATED" } });
  });

  test("leaves nothing behind, and destroys a socket whose other side never ends", async () => {
    const clock = new HandClock();
    const { signal } = new AbortController();
    await using ends = await boundEnds({ client: { clock, signal } });
    ends.deviceSocket.pause();
    ends.client.close("finished");
    clock.advance(LINGER_MS - 1);
    expect(ends.clientSocket.destroyed).toBe(false);
    clock.advance(1);
    expect(await ends.client.closed).toEqual({ how: "closed", by: "us", code: "finished" });
    expect([clock.waiting, getEventListeners(signal, "abort").length]).toEqual([0, 0]);
  });
});

/** The kernel and the socket take no more. */
async function filled(socket: Socket): Promise<void> {
  let before = -1;
  for (let rounds = 0; rounds < 50; rounds++) {
    await new Promise(setImmediate);
    if (socket.bytesWritten !== before) rounds = 0;
    before = socket.bytesWritten;
  }
}

async function sendRandom(stream: Duplex, length: number): Promise<string> {
  const hash = createHash("sha256");
  for (let sent = 0, seed = stream.readableHighWaterMark; sent < length; ) {
    const chunk = Buffer.alloc(
      Math.min(length - sent, 1 + ((seed * 7919) % 100_000)),
      createHash("sha256").update(`${seed++}`).digest(),
    );
    sent += chunk.length;
    hash.update(chunk);
    if (!stream.write(chunk)) await once(stream, "drain");
  }
  stream.end();
  return hash.digest("hex");
}

async function hashOf(stream: Duplex): Promise<string> {
  const hash = createHash("sha256");
  stream.on("data", (chunk: Uint8Array) => hash.update(chunk));
  await once(stream, "end");
  return hash.digest("hex");
}

/** All that comes until the stream ends; its other direction stays open. */
async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  await once(stream, "end");
  return Buffer.concat(chunks);
}
