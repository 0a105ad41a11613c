import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { Channel } from "../../../protocol/channel/channel.ts";
import type { ChannelEvent } from "../../../protocol/channel/channel-event.ts";
import type { ChannelRecord } from "../../../protocol/channel/record.ts";
import { LIMITS, newChannel, other, output, RawPeer, type Role } from "./pair.ts";

const LAST = new Set(["closed", "failed"]);
const ROLE = fc.constantFrom<Role>("client", "device");

test("random bytes end a channel and do nothing else", () => {
  fc.assert(
    fc.property(ROLE, fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 }), (role, chunks) => {
      const channel = newChannel(role);
      const events = chunks.flatMap((chunk) => channel.receive(chunk, 0));
      expect(events.length).toBeLessThanOrEqual(1);
      for (const event of events) expect(event.type).toBe("failed");
    }),
    { numRuns: 1000 },
  );
});

// A peer with the true keys that says whatever it likes, to an owner that answers in every way it may.
test("whatever a peer says, a channel goes on or fails once", () => {
  const stream = fc.integer({ min: 1, max: 70 });
  const amount = fc.oneof(fc.nat(100), fc.constantFrom(2 ** 31 - LIMITS.earlyWindow, 2 ** 31));
  const code = fc.constantFrom("finished", "acknowledged", "refused", "cancelled" as const);
  const record: fc.Arbitrary<ChannelRecord> = fc.oneof(
    {
      arbitrary: fc.record({
        type: fc.constant("data"),
        stream,
        bytes: fc.uint8Array({ minLength: 1, maxLength: 99 }),
      }),
      weight: 4,
    },
    {
      arbitrary: fc.record({ type: fc.constant("open"), stream, window: amount, service: fc.constant("ssh") }),
      weight: 4,
    },
    fc.record({ type: fc.constant("opened"), stream, window: amount }),
    fc.record({ type: fc.constant("window"), stream, credit: amount.map((credit) => credit + 1) }),
    fc.record({ type: fc.constant("end"), stream }),
    fc.record({ type: fc.constant("reset"), stream, code }),
    fc.record({ type: fc.constantFrom("ping", "pong"), value: fc.bigInt({ min: 0n, max: 3n }) }),
  );
  const endings: Record<string, number> = {};
  fc.assert(
    fc.property(
      ROLE,
      fc.array(record, { minLength: 1, maxLength: 60 }),
      fc.infiniteStream(fc.nat(9)),
      (role, records, answers) => {
        const channel = newChannel(role);
        const peer = new RawPeer(other(role));
        const held = new Map<number, number>();
        if (role === "client") for (let i = 0; i < 10; i++) channel.open("ssh");
        const events = channel.receive(peer.seal({ type: "confirm", next: 0 }), 0);
        for (const each of inLikelyOrder(records)) {
          if (LAST.has(events.at(-1)?.type ?? "")) break;
          const news = channel.receive(peer.seal(each), 1000 * events.length);
          for (const event of news) hold(event, held);
          for (const event of news) answer(channel, event, held, answers.next().value ?? 0);
          events.push(...news);
          output(channel);
        }
        expect(events.slice(0, -1).every(({ type }) => !LAST.has(type))).toBe(true);
        const last = events.at(-1)?.type ?? "";
        endings[last] = (endings[last] ?? 0) + 1;
      },
    ),
    { numRuns: 2000 },
  );
  // The peers were neither all refused at once nor all in order.
  expect(Object.keys(endings).length).toBeGreaterThan(4);
});

/** Numbers of new streams that rise, so that more than the first few records count. */
function inLikelyOrder(records: readonly ChannelRecord[]): ChannelRecord[] {
  let newest = 0;
  return records.map((record) => {
    if (record.type === "open" && record.stream % 8 !== 0) return { ...record, stream: ++newest };
    if (!("stream" in record)) return record;
    return { ...record, stream: 1 + (record.stream % Math.max(1, newest + (record.stream % 16 === 0 ? 1 : 0))) };
  });
}

/** Keeps account of the streams and the bytes that the owner has to hold. */
function hold(event: ChannelEvent, held: Map<number, number>): void {
  if (event.type === "open-requested") held.set(event.stream, 0);
  if (event.type === "data") held.set(event.stream, (held.get(event.stream) ?? 0) + event.bytes.length);
  if (event.type === "reset") held.delete(event.stream);
}

function answer(channel: Channel, event: ChannelEvent, held: Map<number, number>, choice: number): void {
  if (event.type === "open-requested") {
    if (choice < 8) channel.accept(event.stream);
    else channel.reset(event.stream, "refused");
    if (choice < 7) channel.send(event.stream, new Uint8Array(500));
    if (choice < 2) channel.end(event.stream);
    if (choice >= 8) held.delete(event.stream);
  }
  if (event.type === "data" && choice < 8) {
    channel.consumed(event.stream, held.get(event.stream) ?? 0);
    held.set(event.stream, 0);
  }
  if (event.type === "ended" && choice < 5 && channel.send(event.stream, new Uint8Array(1)) === 1)
    channel.end(event.stream);
  if (event.type === "data" && choice === 9) {
    channel.reset(event.stream, "failed");
    held.delete(event.stream);
  }
}
