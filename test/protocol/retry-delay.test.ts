import { assert, double, nat, property } from "fast-check";
import { expect, test } from "vitest";
import { retryDelay } from "../../protocol/retry-delay.ts";

const random = double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

test("each wait ends at any moment of a span that doubles up to its limit", () => {
  assert(
    property(nat(100_000), random, nat(1_000), nat(100_000), (failures, at, first, limit) => {
      const span = first === 0 ? 0 : Math.min(limit, first * 2 ** failures);
      const wait = retryDelay(failures, at, { first, limit });
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThan(Math.max(span, 1));
      expect(Math.abs(wait - at * span)).toBeLessThan(1);
    }),
  );
});

test("whoever is alone waits until the end of each span", () => {
  const waits = Array.from({ length: 7 }, (_, failures) => retryDelay(failures, 1, { first: 500, limit: 15_000 }));
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 15_000, 15_000]);
});
