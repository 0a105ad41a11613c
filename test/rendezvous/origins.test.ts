import { expect, test } from "vitest";
import { ARRIVAL_ORIGINS, FULL_SWEEP_MS } from "../../protocol/limits.ts";
import { Origins } from "../../rendezvous/origins.ts";

const LIMITS = { waitingPerOrigin: 10, legsPerOrigin: 10, arrivals: { perSecond: 1, burst: 1 } };

test("addresses beyond the number remembered share one rate only until some of the others are as if new", () => {
  const origins = new Origins(LIMITS);
  for (let i = 0; i < ARRIVAL_ORIGINS; i += 1) expect(origins.arrive(`origin ${i}`, 0)).toBe(true);
  expect(origins.arrive("new", 0)).toBe(true);
  expect(origins.arrive("newer", 0)).toBe(false);
  const later = FULL_SWEEP_MS + 1;
  expect(["newer", "newest"].map((origin) => origins.arrive(origin, later))).toEqual([true, true]);
  expect(origins.arrive("newest", later)).toBe(false);
});
