import { readdir } from "node:fs/promises";
import { openFilesAtMost } from "../open-files.ts";
import { VERSION } from "../version.ts";
import type { Metrics } from "./metrics.ts";

/**
 * What any process can say of itself: version, memory, processor time, open files, and how late its event loop runs. The loop
 * is looked at every LOOK_MS until the process ends.
 */
export function addProcessMetrics(metrics: Metrics): void {
  metrics.gauge("sshnp_build_info", "The version of sshnp that runs; always 1.", () => [
    { labels: { version: VERSION }, value: 1 },
  ]);
  metrics.gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  metrics.counterElsewhere("process_cpu_seconds_total", "Processor time, user and system.", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  });
  metrics.gauge("process_start_time_seconds", "When the process was started, since 1970 UTC.", () =>
    Math.round(Date.now() / 1000 - process.uptime()),
  );
  metrics.gauge("process_open_fds", "Open files and sockets.", async () => {
    const open = await readdir("/proc/self/fd").catch(() => undefined); // there where there is a /proc
    return open?.length;
  });
  metrics.gauge("process_max_fds", "How many files and sockets may be open.", () => openFilesAtMost());
  observeLag(metrics);
}

function observeLag(metrics: Metrics): void {
  const lag = metrics.histogram(
    "sshnp_event_loop_lag_seconds",
    "How late the event loop was when it was looked at, four times a second.",
    LAG_SECONDS,
  );
  let due = performance.now() + LOOK_MS;
  setInterval(() => {
    const now = performance.now();
    lag.observe(Math.max(0, now - due) / 1000);
    due = now + LOOK_MS;
  }, LOOK_MS).unref();
}

const LOOK_MS = 250;
const LAG_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
