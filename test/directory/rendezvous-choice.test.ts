import * as fc from "fast-check";
import { expect, test } from "vitest";
import { SILENT } from "../../protocol/messages/rendezvous-distances.ts";
import { type Candidate, inOrder } from "../../directory/rendezvous-choice.ts";

const candidate = fc.record({
  distanceKey: fc.constantFrom("a", "b", "c", "d"),
  region: fc.constantFrom("", "eu", "us"),
  legs: fc.nat(20_000),
  most: fc.nat(16_000),
  isDraining: fc.boolean(),
});
const distances = fc.array(
  fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "e"), fc.nat(65_535))).map((pairs) => new Map(pairs)),
  { maxLength: 2 },
);
const chance = fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }));

test("whatever they say, each is named at most once, none that drains ahead of one that serves, and somebody where there is somebody", () => {
  fc.assert(
    fc.property(fc.array(candidate), distances, chance, (all, ends, stream) => {
      const order = inOrder(all, ends, () => stream.next().value as number);
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
  expect(inOrder([draining, free], [], Math.random)).toEqual([free]);
  expect(inOrder([draining], [], Math.random)).toEqual([draining]);
  expect(inOrder([draining, full], [], Math.random)).toEqual([full, draining]);
});

test("one that is much busier comes later whatever chance says, and of equal ones each comes first at times", () => {
  const busy = one({ legs: 8_000 });
  const [first, second] = [one({ legs: 7 }), one({ legs: 8 })];
  const heads = new Set<Candidate | undefined>();
  for (let i = 0; i < 200; i += 1) heads.add(inOrder([busy, first, second], [], Math.random)[0]);
  expect(heads).toEqual(new Set([first, second]));
});

let count = 0;
function one(what: Partial<Candidate>): Candidate {
  count += 1;
  return { distanceKey: `key ${count}`, region: "", legs: 0, most: 16_000, isDraining: false, ...what };
}

test("the sum of both ends' round trips decides; what one of them found silent comes behind all that are good", () => {
  const [near, middle, far] = [one({}), one({}), one({})];
  const client = new Map([
    [near.distanceKey, 90],
    [middle.distanceKey, 40],
    [far.distanceKey, 5],
  ]);
  const device = new Map([
    [near.distanceKey, 1],
    [middle.distanceKey, 10],
    [far.distanceKey, 200],
  ]);
  expect(inOrder([near, far, middle], [client, device], Math.random)).toEqual([middle, near, far]);
  const silent = new Map([...device, [middle.distanceKey, SILENT]]);
  expect(inOrder([near, far, middle], [client, silent], Math.random)).toEqual([near, far, middle]);
});

test("one that was never measured counts as the nearest of its region", () => {
  const [here, beside, abroad] = [one({ region: "eu" }), one({ region: "eu" }), one({ region: "us" })];
  const order = inOrder([abroad, beside, here], [new Map([[here.distanceKey, 10]])], Math.random);
  expect(order.at(-1)).toBe(abroad);
});

test("of many, the last place of a ticket goes to one that an end has not measured, until it has measured all that are near", () => {
  const all = Array.from({ length: 12 }, (_, at) => one({ region: `r${at}` }));
  const away = (at: number): number => (at === 11 ? 5 : 100 + 5 * at);
  const measured = new Map<string, number>();
  let nearest = 0;
  for (let tickets = 1; tickets <= 12 && nearest === 0; tickets += 1) {
    const named = inOrder(all, [measured, new Map()], Math.random).slice(0, 3);
    for (const each of named) measured.set(each.distanceKey, away(all.indexOf(each)));
    if (named[0] === all[11]) nearest = tickets;
  }
  expect(nearest).toBeGreaterThan(0);
  const full = [one({}), one({}), one({}), one({ legs: 16_000 }), one({ isDraining: true })];
  const known = new Map(full.slice(0, 3).map(({ distanceKey }, at) => [distanceKey, at]));
  expect(new Set(inOrder(full, [known], Math.random).slice(0, 3))).toEqual(new Set(full.slice(0, 3)));
});

test("load counts little before it is felt: a near one that is half full stays ahead of an empty one abroad", () => {
  const [near, abroad] = [one({ legs: 8_000 }), one({})];
  const measured = new Map([
    [near.distanceKey, 10],
    [abroad.distanceKey, 140],
  ]);
  expect(inOrder([abroad, near], [measured], Math.random)[0]).toBe(near);
  const nearlyFull = { ...near, legs: 14_000 };
  expect(inOrder([nearlyFull, abroad], [measured], Math.random)[0]).toBe(abroad);
});
