import { describe, expect, test } from "vitest";
import type { ChannelEvent } from "../../../protocol/channel/channel-event.ts";
import type { ChannelRecord } from "../../../protocol/channel/record.ts";
import { keys, LIMITS, newChannel, output, Pair, RawPeer } from "./pair.ts";

const { earlyWindow, streamWindow, sessionWindow, streams } = LIMITS;
const CONFIRM: ChannelRecord = { type: "confirm", next: 0 };
const FAILED = { type: "failed", error: expect.objectContaining({ name: "PeerError", code: "E_PROTOCOL" }) };

describe("CONFIRM", () => {
  test("is the first thing a client says, with what it opens and sends right behind it", () => {
    const client = newChannel("client");
    const device = newChannel("device");
    const stream = client.open("ssh") ?? 0;
    expect(client.send(stream, Buffer.from("SSH-2.0"))).toBe(7);
    expect(names(device.receive(output(client), 0))).toEqual(["confirmed", "open-requested", "data"]);
  });

  test("is the first thing a device says, and only once it has verified the client's", () => {
    const device = newChannel("device");
    device.ping(0);
    expect(output(device)).toHaveLength(0);
    device.receive(output(newChannel("client")), 0);
    expect(new RawPeer("client").open(output(device))).toEqual([CONFIRM]);
  });

  test("must come first to a client", () => {
    const client = newChannel("client");
    client.open("ssh");
    const device = new RawPeer("device");
    expect(client.receive(device.seal({ type: "opened", stream: 1, window: 1000 }, CONFIRM), 0)).toEqual([FAILED]);
  });

  test("must come first to a device, which says nothing at all to one that proved nothing", () => {
    for (const record of [OPEN(1), { type: "ping", value: 1n }, { type: "close", code: "finished" }] as const) {
      const device = newChannel("device");
      expect(device.receive(new RawPeer("client").seal(record), 0)).toEqual([FAILED]);
      expect(output(device)).toHaveLength(0);
    }
  });

  test("must not come twice, nor expect records of before", () => {
    expect(deviceReceives(CONFIRM)).toEqual([FAILED]);
    const device = newChannel("device");
    expect(device.receive(new RawPeer("client").seal({ type: "confirm", next: 1 }), 0)).toEqual([FAILED]);
  });

  test("under other keys, or our own sent back to us, is refused", () => {
    const device = newChannel("device");
    expect(device.receive(output(newChannel("client", LIMITS, keys(2))), 0)).toEqual([FAILED]);
    const client = newChannel("client");
    expect(client.receive(output(client), 0)).toEqual([FAILED]);
  });

  test("of the device ends the first flight, which is at most 60 KiB on however many streams", () => {
    const client = newChannel("client");
    const opened: number[] = [];
    for (let stream = client.open("ssh"); stream !== undefined; stream = client.open("ssh")) {
      opened.push(stream);
      client.send(stream, new Uint8Array(earlyWindow));
    }
    for (const stream of opened) client.end(stream);
    for (const stream of opened) client.reset(stream, "cancelled");
    client.close("finished");
    const flight = output(client);
    expect(flight.length).toBeGreaterThan(50 * 1024);
    expect(flight.length).toBeLessThanOrEqual(60 * 1024);
    expect(names(newChannel("device").receive(flight, 0)).at(-1)).toBe("closed");

    const waiting = newChannel("client");
    const early = waiting.open("ssh") ?? 0;
    const sent = waiting.send(early, new Uint8Array(earlyWindow));
    const second = waiting.open("ssh") ?? 0;
    const squeezed = waiting.send(second, new Uint8Array(earlyWindow));
    expect([sent, squeezed < earlyWindow]).toEqual([earlyWindow, true]);
    waiting.receive(new RawPeer("device").seal(CONFIRM), 0);
    expect(waiting.send(second, new Uint8Array(earlyWindow))).toBe(earlyWindow - squeezed);
  });
});

describe("opening", () => {
  test("asks the owner of the device about every stream, with its service", () => {
    const pair = new Pair();
    pair.client.open("ssh");
    pair.client.open("tcp:127.0.0.1:80");
    expect(pair.toDevice()).toEqual([
      { type: "open-requested", stream: 1, service: "ssh" },
      { type: "open-requested", stream: 2, service: "tcp:127.0.0.1:80" },
    ]);
    pair.device.reset(2, "refused");
    pair.device.accept(1);
    expect(pair.toClient()).toEqual([
      { type: "reset", stream: 2, code: "refused" },
      { type: "opened", stream: 1 },
    ]);
  });

  test("is possible for 64 streams at once, and again when one is gone", () => {
    const pair = new Pair();
    for (let i = 0; i < streams; i++) expect(pair.client.open("ssh")).toBe(i + 1);
    expect(pair.client.open("ssh")).toBeUndefined();
    expect(names(pair.toDevice())).toHaveLength(streams);
    pair.device.reset(7, "refused");
    pair.toClient();
    expect(pair.client.open("ssh")).toBe(streams + 1);
    expect(pair.toDevice()).toEqual([{ type: "open-requested", stream: streams + 1, service: "ssh" }]);
  });

  test("of ten thousand streams that are all refused leaves nothing behind", () => {
    const pair = new Pair();
    for (let i = 1; i <= 10_000; i++) {
      expect(pair.client.open("tcp:10.0.0.1:5432")).toBe(i);
      expect(names(pair.toDevice())).toEqual(["open-requested"]);
      pair.device.reset(i, "refused");
      expect(names(pair.toClient())).toEqual(["reset"]);
    }
    for (let i = 0; i < streams; i++) expect(pair.client.open("ssh")).toBeDefined();
  });

  test("one stream too many, a number that does not rise, and a device that opens are refused", () => {
    expect(deviceReceives(...Array.from({ length: streams + 1 }, (_, i) => OPEN(i + 1)))).toEqual([
      ...Array.from({ length: streams }, () => expect.objectContaining({ type: "open-requested" })),
      FAILED,
    ]);
    expect(deviceReceives(OPEN(5), OPEN(5)).at(-1)).toEqual(FAILED);
    expect(deviceReceives(OPEN(5), OPEN(4)).at(-1)).toEqual(FAILED);
    expect(clientReceives(OPEN(1))).toEqual([FAILED]);
  });

  test("a service that cannot travel is a bug of the caller", () => {
    for (const service of ["", "two words", "naïve", "x".repeat(513)]) {
      expect(() => new Pair().client.open(service)).toThrow("broken invariant");
    }
  });
});

describe("credit", () => {
  test("ahead of OPENED is the early window; OPENED comes on top of it", () => {
    const pair = new Pair();
    const stream = pair.client.open("ssh") ?? 0;
    const much = new Uint8Array(2 * streamWindow);
    expect(pair.client.send(stream, much)).toBe(earlyWindow);
    expect(pair.client.send(stream, much)).toBe(0);
    pair.toDevice();
    pair.device.accept(stream);
    expect(pair.toClient()).toEqual([{ type: "opened", stream }]);
    expect(pair.client.send(stream, much)).toBe(streamWindow);
    expect(received(pair.toDevice(), stream)).toBe(streamWindow);
  });

  test("comes back when half of the window was consumed, and the early window only once", () => {
    const pair = new Pair();
    const stream = pair.openStream();
    pair.client.send(stream, new Uint8Array(earlyWindow + streamWindow));
    pair.toDevice();
    pair.device.consumed(stream, earlyWindow + streamWindow / 2 - 1);
    expect(pair.toClient()).toEqual([]);
    pair.device.consumed(stream, 1);
    expect(pair.toClient()).toEqual([{ type: "window-grown", stream }]);
    expect(pair.client.send(stream, new Uint8Array(2 * streamWindow))).toBe(streamWindow / 2);
    pair.toDevice();
    pair.device.consumed(stream, streamWindow);
    pair.toClient();
    expect(pair.client.send(stream, new Uint8Array(2 * streamWindow))).toBe(streamWindow);
  });

  test("may be used to its last byte and not one further, in both directions", () => {
    const early: ChannelRecord[] = [OPEN(1, 10), DATA(1, earlyWindow)];
    expect(deviceReceives(...early).map(({ type }) => type)).toEqual(["open-requested", "data"]);
    expect(deviceReceives(...early, DATA(1, 1)).at(-1)).toEqual(FAILED);
    const opened: ChannelRecord = { type: "opened", stream: 1, window: 0 };
    const full = Array.from({ length: streamWindow / 65_536 }, () => DATA(1, 65_536));
    expect(names(clientReceives(opened, ...full)).includes("failed")).toBe(false);
    expect(clientReceives(opened, ...full, DATA(1, 1)).at(-1)).toEqual(FAILED);
  });

  test("never grows above 2^31 bytes", () => {
    const most = 2 ** 31;
    const opened: ChannelRecord = { type: "opened", stream: 1, window: most - earlyWindow };
    expect(names(clientReceives(opened))).toEqual(["opened"]);
    expect(clientReceives(opened, WINDOW(1, 1)).at(-1)).toEqual(FAILED);
    expect(clientReceives({ type: "opened", stream: 1, window: most - earlyWindow + 1 })).toEqual([FAILED]);
  });

  test("granted to all streams together stays within the session's, and everyone has some", () => {
    for (const limits of [LIMITS, { ...LIMITS, streamWindow: 256 * 1024, sessionWindow: 1024 * 1024 }]) {
      const client = newChannel("client", { ...limits, earlyWindow: 100 });
      client.receive(new RawPeer("device").seal(CONFIRM), 0);
      for (let i = 0; i < streams; i++) client.open("ssh");
      const windows = new RawPeer("device")
        .open(output(client))
        .flatMap((record) => (record.type === "open" ? [record.window] : []));
      expect(windows[0]).toBe(limits.streamWindow);
      expect(windows[9]).toBeGreaterThan(limits.sessionWindow / 128);
      expect(Math.min(...windows)).toBeGreaterThanOrEqual(limits.sessionWindow / 256);
      expect(windows.reduce((sum, window) => sum + window)).toBeLessThanOrEqual(limits.sessionWindow);
    }
    expect(sessionWindow).toBe(16 * 1024 * 1024);
  });

  test("is given back to the session when streams are gone", () => {
    const pair = new Pair();
    for (let round = 0; round < 100; round++) {
      const stream = pair.openStream();
      expect(pair.client.send(stream, new Uint8Array(8 * streamWindow))).toBe(earlyWindow + streamWindow);
      pair.client.reset(stream, "cancelled");
      pair.toDevice();
      pair.toClient();
    }
  });
});

describe("ending", () => {
  test("one direction leaves the other open", () => {
    const pair = new Pair();
    const stream = pair.openStream();
    pair.client.end(stream);
    expect(pair.toDevice()).toEqual([{ type: "ended", stream }]);
    expect(pair.device.send(stream, Buffer.from("still here"))).toBe(10);
    expect(received(pair.toClient(), stream)).toBe(10);
    expect(pair.client.send(stream, Buffer.from("no"))).toBe(0);
  });

  test("may come ahead of OPENED", () => {
    const pair = new Pair();
    const stream = pair.client.open("ssh") ?? 0;
    pair.client.send(stream, Buffer.from("all"));
    pair.client.end(stream);
    expect(names(pair.toDevice())).toEqual(["open-requested", "data", "ended"]);
  });

  test("both directions frees the stream, but not while received bytes wait for a reader", () => {
    const pair = new Pair({ ...LIMITS, streams: 1 });
    const stream = pair.openStream();
    pair.client.send(stream, Buffer.from("unread"));
    pair.client.end(stream);
    pair.toDevice();
    pair.device.end(stream);
    pair.toClient();
    expect(pair.client.open("ssh")).toBeUndefined();
    pair.device.consumed(stream, 6);
    pair.toClient();
    expect(pair.client.open("ssh")).toBe(stream + 1);
    pair.client.send(stream + 1, Buffer.from("x"));
    expect(names(pair.toDevice())).toEqual(["open-requested", "data"]);
  });

  test("with RESET(finished) is the peer's last word, though we have not taken all of its bytes", () => {
    const last: readonly ChannelRecord[] = [WINDOW(1, 1), RESET(1, "finished"), RESET(1, "failed"), END(1)];
    for (const record of last) {
      const device = newChannel("device");
      const client = new RawPeer("client");
      device.receive(client.seal(CONFIRM, OPEN(1), DATA(1, 5)), 0);
      device.accept(1);
      device.end(1);
      expect(names(device.receive(client.seal(END(1), RESET(1, "finished")), 0))).toEqual(["ended"]);
      expect(device.receive(client.seal(record), 0)).toEqual([FAILED]);
    }
  });

  test("crossing ENDs, with WINDOW behind them, are in order", () => {
    const pair = new Pair();
    const stream = pair.openStream();
    pair.client.send(stream, new Uint8Array(streamWindow));
    pair.device.end(stream);
    pair.client.end(stream);
    const fromDevice = output(pair.device);
    expect(names(pair.toDevice()).at(-1)).toBe("ended");
    pair.device.consumed(stream, streamWindow);
    expect(pair.client.receive(fromDevice, 0)).toEqual([{ type: "ended", stream }]);
    expect(pair.toClient()).toEqual([]);
    expect(pair.toDevice()).toEqual([]);
  });

  test.each<[string, readonly ChannelRecord[]]>([
    ["DATA after END", [OPEN(1), END(1), DATA(1, 1)]],
    ["END after END", [OPEN(1), END(1), END(1)]],
    ["RESET(finished) without END", [OPEN(1), RESET(1, "finished")]],
    ["RESET(finished) with one END", [OPEN(1), END(1), RESET(1, "finished")]],
    ["RESET(acknowledged) without a RESET", [OPEN(1), RESET(1, "acknowledged")]],
    ["DATA after RESET", [OPEN(1), RESET(1, "failed"), DATA(1, 1)]],
    ["RESET after RESET", [OPEN(1), RESET(1, "failed"), RESET(1, "failed")]],
    ["OPENED to a device", [OPEN(1), { type: "opened", stream: 1, window: 1 }]],
    ["WINDOW ahead of OPENED", [OPEN(1), WINDOW(1, 1)]],
    ["DATA for a stream that never was", [DATA(1, 1)]],
    ["WINDOW for a stream that never was", [WINDOW(1, 1)]],
    ["END for a stream that never was", [END(1)]],
    ["RESET for a stream that never was", [RESET(1, "failed")]],
    ["an unsolicited PONG", [{ type: "pong", value: 0n }]],
    ["an unsolicited PONG of a later number", [{ type: "pong", value: 1n }]],
  ])("%s is refused by a device", (_, records) => {
    const events = deviceReceives(...records, OPEN(60));
    expect(events.at(-1)).toEqual(FAILED);
    expect(events).not.toContainEqual(expect.objectContaining({ stream: 60 }));
  });

  test.each<[string, readonly ChannelRecord[]]>([
    ["OPENED for a stream that was not asked for", [{ type: "opened", stream: 2, window: 1 }]],
    ["OPENED twice", [OPENED(1), OPENED(1)]],
    ["DATA ahead of OPENED", [DATA(1, 1)]],
    ["END ahead of OPENED", [END(1)]],
    ["WINDOW ahead of OPENED", [WINDOW(1, 1)]],
    ["OPENED after a refusal", [RESET(1, "refused"), OPENED(1)]],
    ["CONFIRM again", [CONFIRM]],
  ])("%s is refused by a client", (_, records) => {
    expect(clientReceives(...records).at(-1)).toEqual(FAILED);
  });
});

describe("after our RESET", () => {
  test("what the peer sent before it knew is checked and thrown away, up to its own RESET", () => {
    const pair = new Pair();
    const stream = pair.openStream();
    pair.device.send(stream, new Uint8Array(1000));
    pair.device.end(stream);
    pair.client.reset(stream, "cancelled");
    pair.client.reset(stream, "failed");
    expect(pair.client.send(stream, new Uint8Array(1))).toBe(0);
    pair.client.end(stream);
    pair.client.consumed(stream, 5);
    expect(pair.toClient()).toEqual([]);
    expect(pair.toDevice()).toEqual([{ type: "reset", stream, code: "cancelled" }]);
    expect(pair.toClient()).toEqual([]);
  });

  test("an answer that crosses it is thrown away too", () => {
    const pair = new Pair();
    const stream = pair.client.open("ssh") ?? 0;
    pair.toDevice();
    pair.device.accept(stream);
    pair.client.reset(stream, "cancelled");
    expect(pair.toClient()).toEqual([]);
    expect(names(pair.toDevice())).toEqual(["reset"]);
    pair.device.accept(stream);
    expect(pair.toClient()).toEqual([]);
  });

  test("crossing RESETs free the stream on both sides, once", () => {
    const pair = new Pair({ ...LIMITS, streams: 1 });
    const stream = pair.openStream();
    pair.client.reset(stream, "cancelled");
    pair.device.reset(stream, "failed");
    const fromClient = output(pair.client);
    expect(pair.toClient()).toEqual([]);
    expect(pair.client.open("ssh")).toBe(stream + 1);
    expect(pair.device.receive(fromClient, 0)).toEqual([]);
    expect(names(pair.toDevice())).toEqual(["open-requested"]);
  });

  test.each<[string, readonly ChannelRecord[]]>([
    ["data beyond the credit", [DATA(1, 65_536), DATA(1, 65_536)]],
    ["an END twice", [END(1), END(1)]],
    ["RESET(finished), which it is not", [RESET(1, "finished")]],
    ["a second RESET", [RESET(1, "acknowledged"), RESET(1, "acknowledged")]],
    ["data after its own RESET", [RESET(1, "acknowledged"), DATA(1, 1)]],
  ])("%s is still refused", (_, records) => {
    const device = newChannel("device");
    const client = new RawPeer("client");
    device.receive(client.seal(CONFIRM, OPEN(1)), 0);
    device.reset(1, "refused");
    expect(device.receive(client.seal(...records), 0)).toEqual([FAILED]);
  });
});

describe("PING", () => {
  test("is answered, one at a time and not at once again", () => {
    const pair = new Pair();
    expect(pair.client.ping(1000)).toBe(true);
    expect(pair.client.pingUnansweredSince).toBe(1000);
    expect(pair.client.ping(5000)).toBe(false);
    pair.toDevice();
    pair.now = 1042;
    expect(pair.toClient()).toEqual([{ type: "pong", roundTripMs: 42 }]);
    expect(pair.client.pingUnansweredSince).toBeUndefined();
    expect(pair.client.ping(1199)).toBe(false);
    expect(pair.client.ping(1200)).toBe(true);
  });

  test("with another number than ours is no answer", () => {
    for (const value of [0n, 2n, 2n ** 64n - 1n]) {
      const client = newChannel("client");
      const device = new RawPeer("device");
      client.receive(device.seal(CONFIRM), 0);
      client.ping(0);
      expect(client.receive(device.seal({ type: "pong", value }), 0)).toEqual([FAILED]);
    }
  });

  test("is echoed whatever its number, ten times a second and no more", () => {
    const device = newChannel("device");
    const client = new RawPeer("client");
    device.receive(client.seal(CONFIRM), 0);
    output(device);
    const values = [0n, 2n ** 64n - 1n, ...Array.from({ length: 8 }, (_, i) => BigInt(i))];
    for (const value of values) expect(device.receive(client.seal({ type: "ping", value }), 0)).toEqual([]);
    expect(device.receive(client.seal({ type: "ping", value: 1n }), 99)).toEqual([FAILED]);
    const patient = newChannel("device");
    const other = new RawPeer("client");
    patient.receive(other.seal(CONFIRM), 0);
    for (let i = 0; i < 1000; i++)
      expect(patient.receive(other.seal({ type: "ping", value: 1n }), i * 100)).toEqual([]);
  });
});

describe("the end of a channel", () => {
  test("is CLOSE with its reason; nothing is read or said after it", () => {
    const pair = new Pair();
    const stream = pair.openStream();
    pair.device.close("revoked");
    pair.device.send(stream, new Uint8Array(1));
    pair.client.send(stream, new Uint8Array(1));
    expect(pair.toClient()).toEqual([{ type: "closed", code: "revoked" }]);
    expect(pair.toDevice()).toEqual([]);
    for (const channel of [pair.client, pair.device]) {
      channel.reset(stream, "failed");
      channel.close("finished");
      expect(channel.ping(0)).toBe(false);
      expect(channel.pathEnded()).toEqual([]);
      expect(output(channel)).toHaveLength(0);
    }
    expect(pair.client.open("ssh")).toBeUndefined();
    expect(deviceReceives({ type: "close", code: "finished" }, DATA(9, 1))).toEqual([
      { type: "closed", code: "finished" },
    ]);
  });

  test("without CLOSE is a truncation, wherever the bytes stop", () => {
    const whole = output(newChannel("client"));
    for (let length = 0; length <= whole.length; length++) {
      const device = newChannel("device");
      device.receive(whole.subarray(0, length), 0);
      expect(device.pathEnded()).toEqual([{ type: "truncated" }]);
      expect(device.pathEnded()).toEqual([]);
    }
  });

  test("by a fault tells the peer one code, whatever the fault was", () => {
    const faults: readonly (readonly ChannelRecord[])[] = [
      [DATA(1, 1)],
      [OPEN(2), OPEN(1)],
      [CONFIRM],
      [{ type: "pong", value: 3n }],
    ];
    for (const records of faults) {
      const device = newChannel("device");
      device.receive(new RawPeer("client").seal(CONFIRM, ...records), 0);
      expect(new RawPeer("client").open(output(device)).at(-1)).toEqual({ type: "close", code: "protocol-error" });
    }
  });

  test("by a record that was tampered with delivers nothing from it on", () => {
    const device = newChannel("device");
    const client = new RawPeer("client");
    const bytes = client.seal(CONFIRM, OPEN(1), DATA(1, 10));
    const tampered = bytes.with(bytes.length - 1, (bytes.at(-1) ?? 0) ^ 1);
    expect(names(device.receive(Buffer.concat([tampered, client.seal(DATA(1, 10))]), 0))).toEqual([
      "confirmed",
      "open-requested",
      "failed",
    ]);
    expect(device.receive(client.seal(DATA(1, 10)), 0)).toEqual([]);
  });
});

function OPEN(stream: number, window = 1000): ChannelRecord {
  return { type: "open", stream, window, service: "ssh" };
}

function OPENED(stream: number): ChannelRecord {
  return { type: "opened", stream, window: 1000 };
}

function DATA(stream: number, length: number): ChannelRecord {
  return { type: "data", stream, bytes: new Uint8Array(length) };
}

function WINDOW(stream: number, credit: number): ChannelRecord {
  return { type: "window", stream, credit };
}

function END(stream: number): ChannelRecord {
  return { type: "end", stream };
}

function RESET(stream: number, code: Extract<ChannelRecord, { type: "reset" }>["code"]): ChannelRecord {
  return { type: "reset", stream, code };
}

/** What a confirmed device makes of these records. */
function deviceReceives(...records: readonly ChannelRecord[]): ChannelEvent[] {
  return newChannel("device")
    .receive(new RawPeer("client").seal(CONFIRM, ...records), 0)
    .slice(1);
}

/** What a confirmed client that has asked for stream 1 makes of these records. */
function clientReceives(...records: readonly ChannelRecord[]): ChannelEvent[] {
  const client = newChannel("client");
  client.open("ssh");
  return client.receive(new RawPeer("device").seal(CONFIRM, ...records), 0).slice(1);
}

function names(events: readonly ChannelEvent[]): string[] {
  return events.map(({ type }) => type);
}

function received(events: readonly ChannelEvent[], stream: number): number {
  const lengths = events.map((event) => (event.type === "data" && event.stream === stream ? event.bytes.length : 0));
  return lengths.reduce((sum, length) => sum + length, 0);
}
