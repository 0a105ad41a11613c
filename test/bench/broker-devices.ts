import { join } from "node:path";
import { memoryOf } from "../support/memory.ts";
import { startMosquitto } from "../support/mosquitto.ts";
import type { Bench } from "./bench.ts";
import { failuresOf } from "./connects.ts";
import { settledRss, settlingSeconds } from "./proc.ts";
import { Services } from "./services.ts";
import { percentile } from "./table.ts";

const CONNECTS_PER_SECOND = 20;
const CONNECT_SECONDS = 5; // at most

/** What devices cost the directory that wait at one mosquitto: its memory without them, and with all of them there. */
export async function brokerDevices(bench: Bench): Promise<void> {
  const { folder, devices, people, seconds, signal, log, row, has } = bench;
  const settling = settlingSeconds(seconds);
  if (!has("mosquitto")) {
    log("there is no mosquitto");
    return;
  }
  await using broker = await startMosquitto({
    lines: ["max_connections -1", "max_queued_messages 100"],
    isQuiet: true,
  });
  const words = ["--mqtt", broker.url];
  await using services = await Services.start({
    folder: join(folder, "broker-devices"),
    devices,
    people,
    words,
    signal,
    log,
  });
  await services.directory.errorLine(/connected to the MQTT broker/);
  log(`letting the directory settle, ${settling} s`);
  const before = await settledRss(services.directory.pid, signal, settling);
  log("bringing all devices to the broker");
  await services.fleet.bringUp({ broker: broker.url });
  log(`letting the directory settle, ${settling} s`);
  const after = await settledRss(services.directory.pid, signal, settling);
  const asked = await services.callers.connect({
    ...{ perSecond: CONNECTS_PER_SECOND, atOnce: 0, seconds: Math.min(CONNECT_SECONDS, Math.max(1, seconds)) },
  });
  const lower = { better: "lower", peers: [] } as const;
  row({
    ...{ ...lower, name: `directory, RSS for each of ${devices} devices at a broker`, unit: "KB" },
    ours: (after - before) / devices / 1000,
    target: { value: 1 },
    note: `${(before / 1e6).toFixed(1)} MB before, ${(after / 1e6).toFixed(1)} MB with ${devices} at one mosquitto, which has ${(memoryOf(broker.process.pid).now / 1e6).toFixed(1)} MB; a link each would be 10 KB`,
  });
  row({
    ...{ ...lower, name: "connects with devices at a broker, p99", unit: "ms", ours: percentile(asked.times, 0.99) },
    note: `${asked.times.length} at ${CONNECTS_PER_SECOND} a second, ${failuresOf(asked)}; p50 ${percentile(asked.times, 0.5).toFixed(0)} ms`,
  });
}
