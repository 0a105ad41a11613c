import { readdir } from "node:fs/promises";
import { monitorEventLoopDelay } from "node:perf_hooks";
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
  observeStalls(metrics);
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

/** What the histogram cannot see, a stop between two looks: the kernel's timer below Node sees each. */
function observeStalls(metrics: Metrics): void {
  const delay = monitorEventLoopDelay({ resolution: STALL_LOOK_MS });
  delay.enable();
  let before = 0;
  /** Seconds; what is measured is the time between two looks. */
  const longest = (): number => Math.max(0, delay.max / 1e9 - STALL_LOOK_MS / 1000);
  setInterval(() => {
    before = longest();
    delay.reset();
  }, STALL_KEPT_MS).unref();
  metrics.gauge(
    "sshnp_event_loop_stall_seconds",
    "The longest stop of the event loop within the last half minute, or up to a minute.",
    () => Math.max(before, longest()),
  );
}

const LOOK_MS = 250;
const STALL_LOOK_MS = 20;
const STALL_KEPT_MS = 30_000;
const LAG_SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
