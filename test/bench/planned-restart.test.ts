import { join } from "node:path";
import { expect, test } from "vitest";
import { LINK_LASTED_MS, RETURN_SLOT_MS } from "../../protocol/limits.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { Services } from "./services.ts";

const DEVICES = 200;
const TIMER_MS = 20; // that the moment from which a device counts may be apart from the one that it notes

test("after a planned restart each device comes back in its own slot, and whoever asks meanwhile gets an answer", async () => {
  await using folder = await temporaryFolder();
  const { signal } = new AbortController();
  const options = { folder: join(folder.path, "services"), devices: DEVICES, people: 4, signal, log: () => {} };
  await using services = await Services.start(options);
  const { fleet, callers } = services;
  await services.bringUp();
  const up = performance.now(); // a slot is kept to after a link that has lasted
  await expect.poll(() => performance.now() - up, { timeout: 2 * LINK_LASTED_MS }).toBeGreaterThan(LINK_LASTED_MS);
  const since = Date.now();
  await services.directory.kill("SIGTERM");
  await services.startAgain();
  await callers.begin({ perSecond: 10, atOnce: 0 });
  await fleet.whole(since);
  const asked = await callers.end();

  const [returns = []] = await fleet.returns();
  expect(returns.every(({ isTold }) => isTold)).toBe(true);
  const slots = Array.from({ length: DEVICES }, (_, slot) => slot * RETURN_SLOT_MS);
  expect(returns.map(({ wait }) => wait).sort((a, b) => a - b)).toEqual(slots);
  expect(returns.filter(({ tried, due }) => tried < due - TIMER_MS)).toEqual([]);
  // In the order of their slots; a busy machine lets some change places with their neighbours. At random it would be near 0.
  expect(rankCorrelation(returns.map(({ due }) => due))).toBeGreaterThan(0.9);

  // Some of those who were asked for were not back yet; nobody was left without an answer.
  expect(Object.keys(asked.failures).filter((code) => code !== "E_OFFLINE")).toEqual([]);
  const later = await callers.connect({ seconds: 1, perSecond: 0, atOnce: 4 });
  expect(later.failures).toEqual({});
  expect(later.times.length).toBeGreaterThan(0);
}, 120_000);

/** Spearman's, of values with their order: 1 where they only rise. */
function rankCorrelation(values: readonly number[]): number {
  const ranks = values.map((_, i) => i).sort((a, b) => (values[a] ?? 0) - (values[b] ?? 0));
  const apart = ranks.reduce((sum, at, rank) => sum + (at - rank) ** 2, 0);
  return 1 - (6 * apart) / (values.length * (values.length ** 2 - 1));
}
