import { expect, test } from "vitest";
import { NETWORK_POLL_MS, SLEPT_MS } from "../../protocol/limits.ts";
import { type Addresses, watchNetwork } from "../../sshnpd/network-watch.ts";

test("it tells of other addresses and of sleep, of nothing else, and looks only while somebody listens", () => {
  let addresses: Addresses = new Set(["127.0.0.1", "192.0.2.1"]);
  let now = 0;
  let look: (() => void) | undefined;
  const network = watchNetwork({
    addresses: () => addresses,
    now: () => now,
    every: (ms, action) => {
      expect(ms).toBe(NETWORK_POLL_MS);
      look = action;
      return () => {
        look = undefined;
      };
    },
  });
  const told: string[][] = [];
  const tick = (late = 0): void => {
    now += NETWORK_POLL_MS + late;
    look?.();
  };

  expect(look).toBeUndefined();
  const forget = network.onChange((current) => told.push([...current]));
  tick();
  addresses = new Set(["192.0.2.1", "127.0.0.1"]); // in another order
  tick();
  tick(SLEPT_MS); // a busy machine
  expect(told).toEqual([]);

  addresses = new Set(["127.0.0.1"]);
  tick();
  expect(told).toEqual([["127.0.0.1"]]);
  addresses = new Set(["127.0.0.1", "192.0.2.2"]);
  tick();
  tick();
  expect(told).toEqual([["127.0.0.1"], ["127.0.0.1", "192.0.2.2"]]);
  tick(SLEPT_MS + 1);
  expect(told).toHaveLength(3);
  tick();
  expect(told).toHaveLength(3);

  forget();
  expect(look).toBeUndefined();
});
