import * as fc from "fast-check";
import { expect, test } from "vitest";
import { concat } from "../../../keys/bytes.ts";
import { ByteQueue } from "../../../protocol/channel/byte-queue.ts";
import { SMALL_CHUNK_BYTES } from "../../../protocol/limits.ts";

test("bytes come out in the order they went in, whatever the sizes and the reader's pace", () => {
  const sizes = fc.oneof(
    fc.nat(10),
    fc.integer({ min: SMALL_CHUNK_BYTES - 2, max: SMALL_CHUNK_BYTES + 2 }),
    fc.nat(40_000),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(sizes, fc.constant("read" as const)), { maxLength: 60 }), (steps) => {
      const queue = new ByteQueue();
      const pushed: Uint8Array[] = [];
      const shifted: Uint8Array[] = [];
      const read = (): boolean => {
        const bytes = queue.shift();
        if (bytes !== undefined) shifted.push(bytes);
        return bytes !== undefined;
      };
      for (const step of steps) {
        if (step === "read") read();
        else pushed.push(new Uint8Array(step).fill(pushed.length + 1));
        if (step !== "read") queue.push(pushed.at(-1) ?? new Uint8Array(0));
      }
      while (read());
      expect(queue.empty).toBe(true);
      expect(Buffer.compare(concat(...shifted), concat(...pushed))).toBe(0);
    }),
  );
});

test("a million chunks of one byte wait as some dozens, not as a million", () => {
  const queue = new ByteQueue();
  for (let i = 0; i < 1_000_000; i++) queue.push(Uint8Array.of(i));
  let chunks = 0;
  let bytes = 0;
  for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
    chunks += 1;
    bytes += chunk.length;
    expect(chunk.buffer.byteLength).toBe(chunk.length);
  }
  expect(bytes).toBe(1_000_000);
  expect(chunks).toBeLessThan(100);
});
