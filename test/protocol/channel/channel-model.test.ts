import { strict as assert } from "node:assert";
import * as fc from "fast-check";
import { test } from "vitest";
import { equalBytes } from "../../../keys/bytes.ts";
import type { Channel } from "../../../protocol/channel/channel.ts";
import type { ChannelEvent } from "../../../protocol/channel/channel-event.ts";
import type { ChannelLimits } from "../../../protocol/session/payloads.ts";
import { LIMITS, newChannel, other, output, pattern, RawPeer, type Role } from "./pair.ts";

// Limits so small that every bound is met all the time, and the real ones.
const TINY: ChannelLimits = { earlyWindow: 20, streamWindow: 300, sessionWindow: 1024, streams: 4 };

test.each([
  ["tiny limits", TINY, 400, 250],
  ["real limits", LIMITS, 150_000, 30],
] as const)(
  "two channels do what the model says, under any commands and any delivery, with %s",
  (_, limits, most, runs) => {
    const side = fc.constantFrom<Role>("client", "device");
    const pick = fc.nat(20);
    const amount = fc.oneof(fc.nat(30), fc.nat(most));
    const commands = fc.commands<Model, Session>(
      [
        fc.constant(new Step("open", (session) => session.open())),
        pick.map((index) => new Step(`accept ${index}`, (session) => session.accept(index))),
        fc
          .tuple(side, pick, amount)
          .map(
            ([role, index, length]) =>
              new Step(`${role} sends ${length} on ${index}`, (session) => session.send(role, index, length)),
          ),
        fc
          .tuple(side, pick, amount)
          .map(
            ([role, index, length]) =>
              new Step(`${role} consumes ${length} of ${index}`, (session) => session.consume(role, index, length)),
          ),
        fc
          .tuple(side, pick)
          .map(([role, index]) => new Step(`${role} ends ${index}`, (session) => session.end(role, index))),
        fc
          .tuple(side, fc.nat(60))
          .map(([role, index]) => new Step(`${role} resets ${index}`, (session) => session.reset(role, index))),
        fc
          .tuple(side, amount)
          .map(
            ([role, length]) => new Step(`${length} bytes reach ${role}`, (session) => session.deliver(role, length)),
          ),
        side.map((role) => new Step(`${role} pings`, (session) => session.ping(role))),
      ],
      { maxCommands: 150, size: "max" },
    );
    fc.assert(
      fc.property(commands, (steps) => {
        const session = new Session(limits);
        fc.modelRun(() => ({ model: {}, real: session }), steps);
        session.settle();
      }),
      { numRuns: runs },
    );
  },
);

/** The model lives beside the channels it judges, in Session. */
type Model = object;

class Step implements fc.Command<Model, Session> {
  readonly #name: string;
  readonly #perform: (session: Session) => void;

  constructor(name: string, perform: (session: Session) => void) {
    this.#name = name;
    this.#perform = perform;
  }

  check(): boolean {
    return true;
  }

  run(_: Model, session: Session): void {
    this.#perform(session);
  }

  toString(): string {
    return this.#name;
  }
}

/** What one side of a stream has done and seen. */
class Half {
  sent = 0;
  received = 0;
  consumed = 0;
  endSent = false;
  endSeen = false;
  /** It has broken the stream off, or seen that the other side did. */
  broken = false;
  /** It broke the stream off by itself, ahead of its regular end. */
  breaks = false;
  /** As the wire shows it: bytes granted to the other side, DATA bytes and RESETs sent. */
  granted = 0;
  data = 0;
  resets = 0;

  get done(): boolean {
    return this.endSent && this.endSeen && this.consumed === this.received;
  }
}

interface ModelStream {
  readonly number: number;
  readonly service: string;
  readonly client: Half;
  readonly device: Half;
  requested: boolean;
  accepted: boolean;
  openedSeen: boolean;
}

/** Two channels, the bytes between them, and a model of what both sides may see. */
class Session {
  readonly #limits: ChannelLimits;
  readonly #channels: Record<Role, Channel>;
  readonly #observers = { client: new RawPeer("device"), device: new RawPeer("client") };
  readonly #wire: Record<Role, Uint8Array> = { client: new Uint8Array(0), device: new Uint8Array(0) };
  readonly #streams = new Map<number, ModelStream>();
  #now = 0;

  constructor(limits: ChannelLimits) {
    this.#limits = limits;
    this.#channels = { client: newChannel("client", limits), device: newChannel("device", limits) };
    this.#collect();
  }

  open(): void {
    const service = `tcp:10.0.0.1:${this.#streams.size + 1}`;
    const number = this.#channels.client.open(service);
    if (number === undefined) return;
    this.#streams.set(number, {
      number,
      service,
      client: new Half(),
      device: new Half(),
      requested: false,
      accepted: false,
      openedSeen: false,
    });
    this.#collect();
  }

  accept(index: number): void {
    const stream = this.#known("device", index);
    if (stream === undefined || stream.accepted) return;
    stream.accepted = !stream.device.broken;
    this.#channels.device.accept(stream.number);
    this.#collect();
  }

  send(role: Role, index: number, length: number): void {
    const stream = this.#known(role, index);
    if (stream === undefined) return;
    const half = stream[role];
    const sent = this.#channels[role].send(stream.number, pattern(stream.number, half.sent, length));
    if (half.broken || half.endSent || (role === "device" && !stream.accepted)) assert.equal(sent, 0);
    half.sent += sent;
    this.#collect();
  }

  consume(role: Role, index: number, length: number): void {
    const stream = this.#known(role, index);
    if (stream === undefined) return;
    const half = stream[role];
    const consumed = Math.min(length, half.received - half.consumed);
    half.consumed += consumed;
    this.#channels[role].consumed(stream.number, consumed);
    this.#collect();
  }

  end(role: Role, index: number): void {
    const stream = this.#known(role, index);
    if (stream === undefined || (role === "device" && !stream.accepted && !stream.device.broken)) return;
    if (!stream[role].broken) stream[role].endSent = true;
    this.#channels[role].end(stream.number);
    this.#collect();
  }

  reset(role: Role, index: number): void {
    const stream = this.#known(role, index);
    if (stream === undefined) return;
    const half = stream[role];
    half.breaks ||= !half.done && !half.broken;
    half.broken ||= half.breaks;
    this.#channels[role].reset(stream.number, "cancelled");
    this.#collect();
  }

  ping(role: Role): void {
    this.#now += 500;
    this.#channels[role].ping(this.#now);
    this.#collect();
  }

  deliver(role: Role, length: number): void {
    const bytes = this.#wire[role].subarray(0, length);
    this.#wire[role] = this.#wire[role].subarray(length);
    for (const event of this.#channels[role].receive(bytes, this.#now)) this.#see(role, event);
    this.#collect();
  }

  /** Delivers and consumes everything, and demands that nothing is lost, stuck or left behind. */
  settle(): void {
    do {
      for (const role of ["client", "device"] as const) this.deliver(role, this.#wire[role].length);
      for (const stream of this.#streams.values()) {
        for (const role of ["client", "device"] as const) {
          this.#channels[role].consumed(stream.number, stream[role].received - stream[role].consumed);
          stream[role].consumed = stream[role].received;
        }
      }
      this.#collect();
    } while (this.#wire.client.length + this.#wire.device.length > 0);
    const live = [...this.#streams.values()].filter((stream) => this.#settled(stream));
    let room = 0;
    while (this.#channels.client.open("ssh") !== undefined) room += 1;
    assert.equal(room, this.#limits.streams - live.length, "every stream that is over makes room");
  }

  /** Checks a stream to which nothing is on its way; whether it lives on. */
  #settled(stream: ModelStream): boolean {
    for (const role of ["client", "device"] as const) {
      const [half, peer] = [stream[role], stream[other(role)]];
      if (peer.breaks) assert(half.broken, "a RESET is seen");
      if (half.broken || peer.broken) continue;
      assert.equal(half.received, peer.sent, "what was sent has arrived");
      assert.equal(half.endSeen, peer.endSent, "END has arrived");
      assert.equal(stream.openedSeen, stream.accepted, "OPENED has arrived");
      if (half.endSent || !stream.accepted) continue;
      assert.equal(this.#channels[role].send(stream.number, new Uint8Array(1)), 1, "credit has come back");
    }
    return !stream.client.broken && !(stream.client.done && stream.device.done);
  }

  #see(role: Role, event: ChannelEvent): void {
    if (event.type === "confirmed" || event.type === "pong") return;
    assert("stream" in event, `${role} saw ${event.type}`);
    const stream = this.#streams.get(event.stream);
    assert(stream !== undefined);
    const [half, peer] = [stream[role], stream[other(role)]];
    assert(!half.broken, "nothing is seen of a stream that was broken off");
    switch (event.type) {
      case "open-requested":
        assert(role === "device" && !stream.requested && event.service === stream.service);
        stream.requested = true;
        return;
      case "opened":
        assert(role === "client" && stream.accepted && !stream.openedSeen);
        stream.openedSeen = true;
        return;
      case "data":
        assert(!half.endSeen && half.received + event.bytes.length <= peer.sent);
        assert(equalBytes(event.bytes, pattern(stream.number, half.received, event.bytes.length)));
        half.received += event.bytes.length;
        return;
      case "window-grown":
        assert(stream.accepted);
        return;
      case "ended":
        assert(peer.endSent && !half.endSeen && half.received === peer.sent);
        half.endSeen = true;
        return;
      case "reset":
        assert(peer.breaks && event.code === "cancelled");
        half.broken = true;
    }
  }

  /** Puts what the channels say on the wire, after reading along. */
  #collect(): void {
    for (const role of ["client", "device"] as const) {
      const bytes = output(this.#channels[role]);
      this.#wire[other(role)] = Buffer.concat([this.#wire[other(role)], bytes]);
      this.#observe(role, bytes);
    }
    for (const role of ["client", "device"] as const) this.#checkWindows(role);
  }

  #observe(role: Role, bytes: Uint8Array): void {
    for (const record of this.#observers[role].open(bytes)) {
      if (!("stream" in record)) continue;
      const stream = this.#streams.get(record.stream);
      if (stream === undefined) continue; // opened to see how many fit
      const [half, peer] = [stream[role], stream[other(role)]];
      assert(half.resets === 0, "RESET is the last record");
      if (record.type === "open" || record.type === "opened") half.granted += record.window;
      if (record.type === "window") half.granted += record.credit;
      if (record.type === "reset") half.resets += 1;
      if (record.type === "data") half.data += record.bytes.length;
      assert(half.data <= peer.granted + this.#early(other(role)), "data stays within its credit");
    }
  }

  #checkWindows(role: Role): void {
    let sum = 0;
    for (const stream of this.#streams.values()) {
      if (stream.client.resets + stream.device.resets === 2) continue;
      const open = stream[role].granted - Math.max(0, stream[role].consumed - this.#early(role));
      assert(open <= this.#limits.streamWindow, "a window stays within its size");
      sum += open;
    }
    assert(sum <= this.#limits.sessionWindow, "all windows stay within the session's");
  }

  /** Bytes that this side must take ahead of its own OPENED. */
  #early(role: Role): number {
    return role === "device" ? this.#limits.earlyWindow : 0;
  }

  #known(role: Role, index: number): ModelStream | undefined {
    const known = [...this.#streams.values()].filter((stream) => role === "client" || stream.requested);
    return known[known.length - 1 - (index % Math.max(1, known.length))];
  }
}
