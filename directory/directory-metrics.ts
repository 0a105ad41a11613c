import type { Logger } from "pino";
import { Metrics } from "../keys/metrics/metrics.ts";
import { addProcessMetrics } from "../keys/metrics/process-metrics.ts";
import { Readiness } from "../keys/metrics/readiness.ts";
import { type MetricsServer, serveMetrics } from "../keys/metrics/serve.ts";
import { REFUSAL_NUMBERS } from "../protocol/refusal-codes.ts";
import type { AuditEntry } from "./audit.ts";
import type { Directory } from "./server.ts";

/**
 * Counts what a directory does, and serves that at `at`, HOST:PORT. `isEnding`: whether it has been told to end.
 * @throws {SetupError} as {@link serveMetrics}.
 */
export async function serveDirectoryMetrics(
  at: string,
  directory: Pick<Directory, "clock" | "storeTrouble" | "presence" | "posts" | "registry" | "audit" | "waking">,
  { log, isEnding }: { readonly log: Logger; readonly isEnding: () => boolean },
): Promise<MetricsServer> {
  const { clock, presence, posts, registry, audit, waking } = directory;
  const metrics = new Metrics();
  addProcessMetrics(metrics);
  metrics.gauge("sshnp_directory_devices_online", "Devices that have a link to this process.", () => presence.size);
  metrics.gauge(
    "sshnp_directory_requests_open",
    "Requests that have not been answered to their end.",
    () => posts.open,
  );
  metrics.gauge(
    "sshnp_directory_rendezvous_up",
    "Rendezvous that a new ticket would name.",
    () => registry.list(clock.now()).filter(({ isUp }) => isUp).length,
  );
  if (waking !== undefined) {
    metrics.gauge("sshnp_directory_broker_connected", "Whether there is a connection to the MQTT broker.", () =>
      waking.isConnected ? 1 : 0,
    );
    metrics.counterElsewhere(
      "sshnp_directory_broker_dropped_total",
      "Messages of devices by the broker that were dropped, because too many waited.",
      () => waking.dropped,
    );
  }
  const results = metrics.labelledCounter(
    "sshnp_directory_connects_total",
    "Session requests by what became of them.",
    {
      name: "result",
      values: ["answered", ...Object.keys(REFUSAL_NUMBERS)],
    },
  );
  audit.onEntry = ({ event, verdict }: AuditEntry) => {
    if (event === "session" && typeof verdict === "string" && !PASSING.has(verdict)) results.add(verdict);
  };
  const readiness = new Readiness();
  readiness.add(
    {
      name: "rendezvous",
      look: () => (registry.list(clock.now()).some(({ isUp }) => isUp) ? undefined : "none has reported"),
    },
    { name: "draining", look: () => (isEnding() ? "the directory ends" : undefined) },
  );
  const { storeTrouble } = directory;
  if (storeTrouble !== undefined) readiness.add({ name: "store", look: () => storeTrouble() });
  if (waking !== undefined) {
    readiness.add({
      name: "broker",
      look: () => (waking.isConnected ? undefined : "there is no connection to it; devices come by WebSocket"),
      isSpare: true,
    });
  }
  const server = await serveMetrics(at, metrics, readiness);
  log.info({ port: server.port }, "metrics are served");
  return server;
}

/** A request that is still under way. */
const PASSING: ReadonlySet<string> = new Set(["waiting", "asked"]);
