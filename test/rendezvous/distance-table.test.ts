import { expect, test } from "vitest";
import {
  DISTANCE_DUE_MS,
  DISTANCE_MS,
  DISTANCE_STEP_MS,
  RENDEZVOUS_DISTANCES,
  SILENT_MS,
} from "../../protocol/limits.ts";
import { SILENT } from "../../protocol/messages/rendezvous-distances.ts";
import { DistanceTable } from "../../rendezvous/distance-table.ts";

const NOW = 1_800_000_000_000;

test("what is told is coarse, and no more precise however often it is asked for", () => {
  const table = new DistanceTable();
  for (const [at, ms] of [3, 9.4, 31, 118.7, 64_999, SILENT].entries()) table.note(`key ${at}`, ms, NOW);
  const told = [...table.told(NOW).values()];
  expect(told).toEqual([0, 0, 40, 120, 65_000, SILENT]);
  expect(told.every((ms) => ms === SILENT || ms % DISTANCE_STEP_MS === 0)).toBe(true);
});

test("a round trip counts for a day, silence for five minutes, also when the clock goes back", () => {
  const table = new DistanceTable([
    { key: "near", ms: 20, at: NOW },
    { key: "mute", ms: SILENT, at: NOW },
  ]);
  expect(table.told(NOW + SILENT_MS - 1).size).toBe(2);
  expect([...table.told(NOW + SILENT_MS).keys()]).toEqual(["near"]);
  expect(table.told(NOW + DISTANCE_MS).size).toBe(0);
  expect(table.told(NOW - DISTANCE_MS).size).toBe(0);
});

test("what was measured is not due for a while, what was silent always is, and the ones measured longest ago are forgotten", () => {
  const table = new DistanceTable();
  for (let at = 0; at <= RENDEZVOUS_DISTANCES; at += 1) table.note(`key ${at}`, at === 1 ? SILENT : 20, NOW + at);
  expect(table.measured.map(({ key }) => key)).toEqual(
    Array.from({ length: RENDEZVOUS_DISTANCES }, (_, at) => `key ${at + 1}`),
  );
  expect(table.isDue("key 0", NOW)).toBe(true);
  expect(table.isDue("key 1", NOW)).toBe(true);
  expect(table.isDue("key 2", NOW + DISTANCE_DUE_MS)).toBe(false);
  expect(table.isDue("key 2", NOW + 2 + DISTANCE_DUE_MS)).toBe(true);
});
