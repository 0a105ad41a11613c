import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { STALLED_BYTES, STALLED_MS } from "../../protocol/limits.ts";
import { Stalls } from "../../rendezvous/stalls.ts";

const HELD = 1024 * 1024;

test("of the readers that have stopped, those that stopped first are cut, until the others hold no more than they may", () => {
  let now = 0;
  const stalls = new Stalls(() => now);
  const all = Array.from({ length: STALLED_BYTES / HELD + 3 }, () => newStall());
  for (const stall of all) stalls.add(stall);
  now = STALLED_MS;
  stalls.trim();
  expect(all.map(({ from, to }) => [from.destroyed, to.destroyed])).toEqual(all.map((_, i) => [i < 3, i < 3]));
  stalls.trim();
  expect(all.filter(({ to }) => to.destroyed)).toHaveLength(3);
});

test("who reads on is cut for nobody", () => {
  let now = 0;
  const stalls = new Stalls(() => now);
  const all = Array.from({ length: STALLED_BYTES / HELD + 3 }, () => newStall());
  for (const stall of all) stalls.add(stall);
  const [first, second, third] = all;
  for (const stall of [first, second, third]) if (stall !== undefined) stalls.delete(stall);
  now = STALLED_MS;
  stalls.trim();
  expect(all.filter(({ to }) => to.destroyed)).toEqual([]);
});

test("who reads slowly, but reads, has not stopped", () => {
  let now = 0;
  const stalls = new Stalls(() => now);
  const all = Array.from({ length: (4 * STALLED_BYTES) / HELD }, () => newStall());
  for (const stall of all) stalls.add(stall);
  for (let round = 0; round < 5; round++) {
    now += STALLED_MS - 1;
    stalls.trim();
    // What waited has gone out, and the next chunk waits again.
    for (const stall of all) {
      stalls.delete(stall);
      stalls.add(stall);
    }
  }
  expect(all.filter(({ to }) => to.destroyed)).toEqual([]);
});

/** A reader that has stopped, for which HELD bytes wait. */
function newStall(): { readonly from: PassThrough; readonly to: PassThrough } {
  const to = new PassThrough();
  to.cork();
  to.write(Buffer.alloc(HELD));
  return { from: new PassThrough(), to };
}
