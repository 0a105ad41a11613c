import { expect, test } from "vitest";
import { type Bench, runBench } from "./bench.ts";
import { brokerDevices } from "./broker-devices.ts";
import { connects } from "./connects.ts";
import { idleTraffic } from "./idle-traffic.ts";
import { slope, soak } from "./soak.ts";

/** Small, and too short to tell anything but that the tools work. */
async function rowsOf(
  run: (bench: Bench) => Promise<void>,
  { seconds, devices }: { readonly seconds: number; readonly devices: number },
): Promise<ReadonlyMap<string, number>> {
  const signal = AbortSignal.timeout(110_000);
  const rows = await runBench([{ name: "part", run }], { seconds, devices, signal, print: () => {} });
  return new Map(rows.map(({ name, ours }) => [name, ours]));
}

test("connects are made, counted and timed", async () => {
  const rows = await rowsOf(connects, { seconds: 1, devices: 50 });
  expect(rows.get("connects, 50 devices, as fast as they go")).toBeGreaterThan(0);
  expect(rows.get("the same, p99")).toBeGreaterThan(0);
  for (const who of ["directory", "rendezvous", "the ends"]) {
    expect(
      [...rows].find(([name]) => name.startsWith(`${who}'`) && name.endsWith("CPU for 1,000 connects"))?.[1],
    ).toBeGreaterThan(0);
  }
}, 120_000);

test("a mixed load ends by itself and tells what has grown", async () => {
  const rows = await rowsOf(soak, { seconds: 3, devices: 20 });
  expect([...rows.keys()].filter((name) => name.endsWith("slope"))).toHaveLength(4);
  expect(rows.get("soak, connects, p50")).toBeGreaterThan(0);
  expect([...rows.values()].every(Number.isFinite)).toBe(true);
}, 120_000);

test("the traffic of idle links is counted, of metered ones too", async () => {
  const rows = await rowsOf(idleTraffic, { seconds: 0.1, devices: 20 });
  expect([...rows.keys()]).toEqual([
    "idle device, traffic in a day, both ways",
    "idle device, --metered, traffic in a day, both ways",
  ]);
  expect([...rows.values()].every((value) => value >= 0)).toBe(true);
}, 120_000);

test("devices come to a broker, and are called there", async () => {
  const rows = await rowsOf(brokerDevices, { seconds: 0.2, devices: 20 });
  expect(rows.get("connects with devices at a broker, p99")).toBeGreaterThan(0);
}, 120_000);

test("the slope of what grows evenly is by how much it grows in an hour", () => {
  const looks = Array.from({ length: 50 }, (_, i) => ({ at: 7 * i, rss: 1000 + 14 * i, files: 30 }));
  expect(slope(looks, ({ rss }) => rss)).toBeCloseTo(2 * 3600);
  expect(slope(looks, ({ files }) => files)).toBeCloseTo(0);
});
