import { join } from "node:path";
import { expect, test } from "vitest";
import { RETURN_SLOT_MS } from "../../protocol/limits.ts";
import { temporaryFolder } from "../support/temp-folder.ts";
import { Services } from "./services.ts";

const DEVICES = 200;
const TIMER_MS = 2; // that a timer of Node's may be early, and its clock apart from ours

test("after a planned restart each device comes back in its own slot, and whoever asks meanwhile gets an answer", async () => {
  await using folder = await temporaryFolder();
  const { signal } = new AbortController();
  const options = { folder: join(folder.path, "services"), devices: DEVICES, signal, log: () => {} };
  await using services = await Services.start(options);
  const { fleet, callers } = services;
  await services.bringUp();
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
  for (const [i, { due }] of returns.entries()) expect(due).toBeGreaterThan((returns[i - 1]?.due ?? 0) - TIMER_MS);

  // Some of those who were asked for were not back yet; nobody was left without an answer.
  expect(Object.keys(asked.failures).filter((code) => code !== "E_OFFLINE")).toEqual([]);
  const later = await callers.connect({ seconds: 1, perSecond: 0, atOnce: 4 });
  expect(later.failures).toEqual({});
  expect(later.times.length).toBeGreaterThan(0);
});
