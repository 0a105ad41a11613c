import { expect, test } from "vitest";
import { LATENCY_SECONDS, Metrics } from "../../keys/metrics/metrics.ts";
import { parseMetricsAddress } from "../../keys/metrics/metrics-address.ts";
import { addProcessMetrics } from "../../keys/metrics/process-metrics.ts";
import { promtoolCheck, samplesOf } from "../support/metrics.ts";

test("labels have the values that they were made with and `other`, whatever is counted", async () => {
  const metrics = new Metrics();
  const counter = metrics.labelledCounter("t_events_total", "Events.", { name: "kind", values: ["a", "b"] });
  const histogram = metrics.labelledHistogram("t_seconds", "Times.", [0.1, 1], { name: "kind", values: ["a"] });
  for (let i = 0; i < 1000; i++) {
    counter.add(`@name${i}`);
    histogram.observe(`@name${i}`, 1);
  }
  counter.add("a", 3);
  for (const value of [0.1, 0.5, 2]) histogram.observe("a", value);
  expect(Object.fromEntries(samplesOf(await metrics.text()))).toEqual({
    't_events_total{kind="a"}': 3,
    't_events_total{kind="b"}': 0,
    't_events_total{kind="other"}': 1000,
    't_seconds_bucket{kind="a",le="0.1"}': 1,
    't_seconds_bucket{kind="a",le="1"}': 2,
    't_seconds_bucket{kind="a",le="+Inf"}': 3,
    't_seconds_sum{kind="a"}': 2.6,
    't_seconds_count{kind="a"}': 3,
  });
});

test("whatever a label or a help text holds, promtool reads it as it was meant", async () => {
  const metrics = new Metrics();
  metrics.gauge("t_odd", 'Help with \\ and\na line and "quotes".', () => [
    { labels: { text: 'a\\b\n"c"' }, value: 1.5e-7 },
    { labels: { text: "inf" }, value: Number.POSITIVE_INFINITY },
    { labels: { text: "nan" }, value: Number.NaN },
  ]);
  metrics.histogram("t_wait_seconds", "Waits.", LATENCY_SECONDS).observe(31);
  const text = await metrics.text();
  expect(promtoolCheck(text)).toBe("");
  expect(text).toContain('t_odd{text="a\\\\b\\n\\"c\\""} 1.5e-7\n');
  expect(text).toContain('t_wait_seconds_bucket{le="30"} 0\nt_wait_seconds_bucket{le="+Inf"} 1\n');
});

test("a stop of the event loop that falls between two looks is seen", async () => {
  const metrics = new Metrics();
  addProcessMetrics(metrics);
  const stall = async (): Promise<number> =>
    samplesOf(await metrics.text()).get("sshnp_event_loop_stall_seconds") ?? NaN;
  await expect.poll(stall).toBeGreaterThan(0); // it is looked at
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
  await expect.poll(stall).toBeGreaterThan(0.15);
});

test("a stop of the event loop lands in the buckets of its lag that are above what it is late by", async () => {
  const metrics = new Metrics();
  addProcessMetrics(metrics);
  const lag = async () => {
    const samples = samplesOf(await metrics.text());
    const [count = NaN, upTo = NaN, sum = NaN] = ["count", 'bucket{le="0.25"}', "sum"].map((of) =>
      samples.get(`sshnp_event_loop_lag_seconds_${of}`),
    );
    return { count, above: count - upTo, sum };
  };
  await expect.poll(async () => (await lag()).count).toBeGreaterThan(0);
  const before = await lag();
  // It is looked at within 250 ms, so it is late by at least 400.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 650);
  await expect.poll(async () => (await lag()).count).toBeGreaterThan(before.count);
  const after = await lag();
  expect(after.above).toBeGreaterThan(before.above);
  expect(after.sum - before.sum).toBeGreaterThan(0.39);
});

test.each([
  ["127.0.0.1:9464", "127.0.0.1", 9464],
  ["9464", "127.0.0.1", 9464],
  ["[::1]:0", "::1", 0],
  ["np.example.org:65535", "np.example.org", 65_535],
])("--metrics %s", (text, host, port) => {
  expect(parseMetricsAddress(text)).toEqual({ host, port });
});

test.each(["", ":9464", "65536", "host", "::1:9464", "[::1]", "a b:1", "127.0.0.1:9464\n", "-1", "127.0.0.1:"])(
  "--metrics %j is no place",
  (text) => {
    expect(() => parseMetricsAddress(text)).toThrow("is not HOST:PORT");
  },
);
