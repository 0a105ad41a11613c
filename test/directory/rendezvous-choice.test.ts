import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Candidate, inOrder } from "../../directory/rendezvous-choice.ts";

const candidate = fc.record({
  region: fc.constantFrom("", "eu", "us"),
  legs: fc.nat(20_000),
  most: fc.nat(16_000),
  isDraining: fc.boolean(),
});
const chance = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));

test("whatever they say, each is named at most once, none that drains ahead of one that serves, and somebody where there is somebody", () => {
  fc.assert(
    fc.property(fc.array(candidate), chance, (all, stream) => {
      const order = inOrder(all, () => stream.next().value as number);
      expect(new Set(order).size).toBe(order.length);
      expect(order.every((named) => all.includes(named))).toBe(true);
      const firstDraining = order.findIndex(({ isDraining }) => isDraining);
      if (firstDraining >= 0) expect(order.slice(firstDraining).every(({ isDraining }) => isDraining)).toBe(true);
      expect(order.filter(({ isDraining }) => !isDraining)).toHaveLength(
        all.filter((given) => !given.isDraining).length,
      );
      expect(order.length > 0).toBe(all.length > 0);
    }),
  );
});

test("one that drains is left out while another has room, and named when no other has", () => {
  const draining = one({ isDraining: true });
  const full = one({ legs: 16_000 });
  const free = one({});
  expect(inOrder([draining, free], Math.random)).toEqual([free]);
  expect(inOrder([draining], Math.random)).toEqual([draining]);
  expect(inOrder([draining, full], Math.random)).toEqual([full, draining]);
});

test("one that is much busier comes later whatever chance says, and of equal ones each comes first at times", () => {
  const busy = one({ legs: 8_000 });
  const [first, second] = [one({ legs: 7 }), one({ legs: 8 })];
  const heads = new Set<Candidate | undefined>();
  for (let i = 0; i < 200; i += 1) heads.add(inOrder([busy, first, second], Math.random)[0]);
  expect(heads).toEqual(new Set([first, second]));
});

function one(what: Partial<Candidate>): Candidate {
  return { region: "", legs: 0, most: 16_000, isDraining: false, ...what };
}
