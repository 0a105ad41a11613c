import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { STALLED_BYTES } from "../../protocol/limits.ts";
import { Stalls } from "../../rendezvous/stalls.ts";

const HELD = 1024 * 1024;

test("of the readers that have stopped, those that stopped first are cut, until the others hold no more than they may", () => {
  const stalls = new Stalls();
  const all = Array.from({ length: STALLED_BYTES / HELD + 3 }, () => newStall());
  for (const stall of all) stalls.add(stall);
  stalls.trim();
  expect(all.map(({ from, to }) => [from.destroyed, to.destroyed])).toEqual(all.map((_, i) => [i < 3, i < 3]));
  stalls.trim();
  expect(all.filter(({ to }) => to.destroyed)).toHaveLength(3);
});

test("who reads on is cut for nobody", () => {
  const stalls = new Stalls();
  const all = Array.from({ length: STALLED_BYTES / HELD + 3 }, () => newStall());
  for (const stall of all) stalls.add(stall);
  const [first, second, third] = all;
  for (const stall of [first, second, third]) if (stall !== undefined) stalls.delete(stall);
  stalls.trim();
  expect(all.filter(({ to }) => to.destroyed)).toEqual([]);
});

/** A reader that has stopped, for which HELD bytes wait. */
function newStall(): { readonly from: PassThrough; readonly to: PassThrough } {
  const to = new PassThrough();
  to.cork();
  to.write(Buffer.alloc(HELD));
  return { from: new PassThrough(), to };
}
