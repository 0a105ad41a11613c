import { expect, test } from "vitest";
import { HEADER, meetsTarget, median, percentile, type Row, rowLines } from "./table.ts";

const ROW: Row = {
  ...{ name: "carried", unit: "Gbit/s", better: "higher", ours: 4.5 },
  peers: [
    { name: "one", value: 5 },
    { name: "two", value: undefined },
  ],
};

test("a row has a line for each peer, the ratio where there is one, and says which is missing", () => {
  const [first = "", second = "", ...more] = rowLines(ROW);
  expect(more).toEqual([]);
  expect(first.split(/ {2,}/)).toEqual(["carried, Gbit/s", "4.50", "one", "5.00", "0.90", "higher is better"]);
  expect(second.trim().split(/ {2,}/)).toEqual(["two", "no peer"]);
  expect(first.indexOf("5.00") + 4).toBe(HEADER.indexOf("peer's") + "peer's".length);
});

test("what nobody else does has no peer", () => {
  expect(rowLines({ ...ROW, peers: [] })).toEqual([expect.stringMatching(/4\.50 +no peer +higher is better$/)]);
});

test.each([
  [{ value: 4.5 }, "higher", true],
  [{ value: 4.6 }, "higher", false],
  [{ value: 4.5 }, "lower", true],
  [{ value: 4.4 }, "lower", false],
  [{ timesPeer: 0.9 }, "higher", true],
  [{ timesPeer: 1 }, "higher", false],
  [undefined, "higher", undefined],
] as const)("a target of %j, %s being better, is met: %s", (target, better, met) => {
  expect(meetsTarget({ ...ROW, better, ...(target === undefined ? {} : { target }) })).toBe(met);
});

test("a multiple of a peer that is missing is no target", () => {
  expect(meetsTarget({ ...ROW, peers: [{ name: "two", value: undefined }], target: { timesPeer: 1 } })).toBeUndefined();
});

test("percentiles are values that were measured, whatever their order", () => {
  const values = Array.from({ length: 100 }, (_, index) => (index * 37) % 100);
  expect([0, 0.5, 0.99, 1].map((share) => percentile(values, share))).toEqual([0, 50, 99, 99]);
  expect(median([3, 1, 2])).toBe(2);
  expect(() => median([])).toThrow(RangeError);
});
