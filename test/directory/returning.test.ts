import * as fc from "fast-check";
import { expect, test } from "vitest";
import { retryAfter, returnReason, returnSlots, toldRetryAfter, toldReturn } from "../../directory/returning.ts";
import { RETURN_SLOT_MS, RETURN_SPREAD_MS } from "../../protocol/limits.ts";

test("each device of a fleet has a slot, and no moment has more of them than another", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100_000 }), (devices) => {
      const slots = [...returnSlots(devices)];
      expect(slots).toHaveLength(devices);
      expect(slots[0]).toBe(0);
      expect(slots.every((slot) => Number.isInteger(slot) && slot >= 0 && slot < RETURN_SPREAD_MS)).toBe(true);
      const apart = Math.min(RETURN_SLOT_MS, RETURN_SPREAD_MS / devices);
      const inSecond = new Map<number, number>();
      for (const slot of slots) inSecond.set(Math.floor(slot / 1000), (inSecond.get(Math.floor(slot / 1000)) ?? 0) + 1);
      expect(Math.max(...inSecond.values())).toBeLessThanOrEqual(Math.ceil(1000 / apart) + 1);
      expect(slots).toEqual(slots.toSorted((a, b) => a - b));
    }),
    { numRuns: 50 },
  );
  expect([...returnSlots(0)]).toEqual([]);
});

test("a fleet that fits into the spread is back as fast as turns go, and a larger one by its end", () => {
  const last = (devices: number): number => [...returnSlots(devices)].at(-1) ?? -1;
  expect(last(200)).toBe(199 * RETURN_SLOT_MS);
  expect(last(15_000)).toBe(14_999 * RETURN_SLOT_MS);
  expect(last(1_000_000)).toBeLessThan(RETURN_SPREAD_MS);
});

test("a slot is told in the reason of a close, which has room for it, and nothing else is one", () => {
  fc.assert(
    fc.property(fc.nat(RETURN_SPREAD_MS), (ms) => {
      expect(toldReturn(returnReason(ms))).toBe(ms);
      expect(Buffer.byteLength(returnReason(ms))).toBeLessThanOrEqual(123); // RFC 6455 section 5.5
    }),
  );
  for (const reason of [
    "",
    "back in -1 ms",
    "back in 1e3 ms",
    "back in 9999999999 ms",
    "back in 1 ms\n",
    " back in 1 ms",
  ]) {
    expect(toldReturn(reason)).toBeUndefined();
  }
});

test("Retry-After tells whole seconds that are not too few, and what is no number of them tells nothing", () => {
  fc.assert(
    fc.property(fc.nat(9_000_000), (ms) => {
      const told = toldRetryAfter(retryAfter(ms));
      expect(told).toBeGreaterThanOrEqual(Math.max(ms, 1000));
      expect(told).toBeLessThan(ms + 1001);
    }),
  );
  for (const header of [undefined, "", "-1", "1.5", "99999", "Fri, 31 Dec 1999 23:59:59 GMT"]) {
    expect(toldRetryAfter(header)).toBe(0);
  }
});
