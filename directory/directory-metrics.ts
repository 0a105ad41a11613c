import type { Logger } from "pino";
import { LATENCY_SECONDS, type LabelledCounter, Metrics } from "../keys/metrics/metrics.ts";
import { parseMetricsAddress } from "../keys/metrics/metrics-address.ts";
import { addProcessMetrics } from "../keys/metrics/process-metrics.ts";
import { type MetricsServer, serveMetrics } from "../keys/metrics/serve.ts";
import { REFUSAL_NUMBERS } from "../protocol/refusal-codes.ts";
import type { AuditEntry } from "./audit.ts";
import { CONNECT_STAGES, type ConnectObserver, TURNED_AWAY } from "./connect-observer.ts";
import type { Database } from "./database.ts";
import { ObservedDatabase, STORE_WORK } from "./observed-database.ts";
import type { Directory } from "./server.ts";

type Watched = Pick<
  Directory,
  | "clock"
  | "presence"
  | "posts"
  | "registry"
  | "audit"
  | "sessions"
  | "links"
  | "waking"
  | "replicas"
  | "statementLog"
  | "readiness"
  | "cosigner"
>;

/** Counts what a directory does, from before it is there. No label has a name, a key or a session id. */
export class DirectoryWatch {
  readonly #at: string;
  readonly #metrics = new Metrics();
  readonly #connects: LabelledCounter;
  readonly #links: LabelledCounter;
  #database: ObservedDatabase | undefined;
  readonly observer: ConnectObserver;

  /** @throws {SetupError} E_USAGE when `at` is not HOST:PORT. */
  constructor(at: string) {
    parseMetricsAddress(at);
    this.#at = at;
    const metrics = this.#metrics;
    addProcessMetrics(metrics);
    this.#connects = metrics.labelledCounter(
      "sshnp_directory_connects_total",
      "Session requests by what became of them; a refusal that the device has sealed counts as answered.",
      { name: "result", values: ["answered", "binding", ...CODES] },
    );
    const stages = metrics.labelledHistogram(
      "sshnp_directory_connect_seconds",
      "How long session requests took for each of their stages.",
      LATENCY_SECONDS,
      { name: "stage", values: CONNECT_STAGES },
    );
    this.#links = metrics.labelledCounter(
      "sshnp_directory_link_events_total",
      "Devices that came (by WebSocket or MQTT), went, or took a living link's place.",
      { name: "event", values: ["up websocket", "up mqtt", "down", "replaced", "clone"] },
    );
    const refused = metrics.labelledCounter(
      "sshnp_directory_links_refused_total",
      "Devices that were not let in, by the code that they were told.",
      { name: "code", values: CODES },
    );
    const turnedAway = metrics.labelledCounter(
      "sshnp_directory_turned_away_total",
      "Connections, requests, messages, links and answers that were turned away or cut, by what there was too much of.",
      { name: "why", values: TURNED_AWAY },
    );
    this.observer = {
      took: (stage, ms) => stages.observe(stage, ms / 1000),
      ended: (result) => this.#connects.add(result),
      linkRefused: (code) => refused.add(code),
      turnedAway: (why) => turnedAway.add(why),
    };
  }

  /** Stands in front of the database, to count. */
  readonly observe = (database: Database): Database => {
    const took = this.#metrics.labelledHistogram(
      "sshnp_directory_store_seconds",
      "How long the store took: reads, writes that are on disk then, writes that are kept, claims of message ids, turns.",
      LATENCY_SECONDS,
      { name: "work", values: STORE_WORK },
    );
    const failures = this.#metrics.labelledCounter(
      "sshnp_directory_store_failures_total",
      "What was asked of the store and failed.",
      { name: "work", values: STORE_WORK },
    );
    const observed = new ObservedDatabase(database, (work, ms, failed) => {
      took.observe(work, ms / 1000);
      if (failed) failures.add(work);
    });
    this.#database = observed;
    return observed;
  };

  /** @throws {SetupError} as {@link serveMetrics}. */
  async serve(directory: Watched, log: Logger): Promise<MetricsServer> {
    const { audit, readiness } = directory;
    audit.onEntry = (entry) => this.#noted(entry);
    this.#addGauges(directory);
    this.#addQueues(directory);
    const server = await serveMetrics(this.#at, this.#metrics, readiness, log);
    log.info({ port: server.port }, "metrics are served");
    return server;
  }

  #addGauges({ clock, presence, registry, waking, replicas, statementLog, cosigner, audit }: Watched): void {
    const metrics = this.#metrics;
    metrics.gauge(
      "sshnp_directory_devices_online",
      "Devices that have a WebSocket to this process.",
      () => presence.size,
    );
    if (waking !== undefined) {
      metrics.gauge(
        "sshnp_directory_mqtt_devices_online",
        "Devices that wait at the MQTT broker, the same at each directory on the store; counted once a minute.",
        () => waking.count().catch(() => undefined),
      );
      metrics.gauge("sshnp_directory_broker_connected", "Whether the MQTT broker is connected (1).", () =>
        waking.isConnected ? 1 : 0,
      );
    }
    if (replicas !== undefined) {
      metrics.gauge(
        "sshnp_directory_replicas_alive",
        "Directories on the same store, this one counted.",
        () => replicas.alive,
      );
    }
    metrics.gauge(
      "sshnp_directory_rendezvous_up",
      "Rendezvous that a new ticket would name.",
      () => registry.list(clock.now()).filter(({ isUp }) => isUp).length,
    );
    metrics.gauge(
      "sshnp_directory_witnesses",
      "Witnesses of the log, by whether they cosigned when last asked.",
      () => {
        const { standings } = cosigner;
        const failing = standings.filter(({ failure }) => failure !== undefined).length;
        return [
          { labels: { state: "cosigns" }, value: standings.length - failing },
          { labels: { state: "fails" }, value: failing },
        ];
      },
    );
    metrics.gauge(
      "sshnp_directory_log_entries",
      "Entries of the transparency log.",
      () => statementLog.checkpoint.size,
    );
    metrics.counterElsewhere(
      "sshnp_directory_audit_lost_total",
      "Lines of the audit that were lost, because the disk took none and too many waited.",
      () => audit.lost,
    );
  }

  #addQueues({ posts, sessions, links, waking }: Watched): void {
    const metrics = this.#metrics;
    metrics.gauge(
      "sshnp_directory_requests_open",
      "Requests that have not been answered to their end.",
      () => posts.open,
    );
    metrics.gauge(
      "sshnp_directory_sessions",
      "Session requests that are remembered: waiting for their device, asked of it, answered.",
      () => Object.entries(sessions.phases()).map(([phase, value]) => ({ labels: { phase }, value })),
    );
    metrics.gauge(
      "sshnp_directory_hellos_waiting",
      "Hellos of devices that wait for their turn.",
      () => links.hellosWaiting,
    );
    if (waking !== undefined) {
      metrics.gauge(
        "sshnp_directory_broker_messages_waiting",
        "Messages by the broker that are yet to be read.",
        () => waking.messagesWaiting,
      );
      metrics.counterElsewhere(
        "sshnp_directory_broker_dropped_total",
        "Messages of devices by the broker that were dropped, because too many waited.",
        () => waking.dropped,
      );
    }
    metrics.gauge("sshnp_directory_store_waiting", "What was asked of the store and is not done yet.", () =>
      Object.entries(this.#database?.waiting ?? {}).map(([work, value]) => ({ labels: { work }, value })),
    );
  }

  #noted({ event, verdict, replaced, peer }: AuditEntry): void {
    if (event === "session" && typeof verdict === "string" && !PASSING.has(verdict)) this.#connects.add(verdict);
    if (event === "link down" || event === "clone") this.#links.add(event.replace("link ", ""));
    if (event !== "link up") return;
    const isMqtt = typeof peer === "object" && peer !== null && "by" in peer && peer.by === "mqtt";
    this.#links.add(isMqtt ? "up mqtt" : "up websocket");
    if (replaced === true) this.#links.add("replaced");
  }
}

const CODES: readonly string[] = Object.keys(REFUSAL_NUMBERS);

/** A request that is still under way. */
const PASSING: ReadonlySet<string> = new Set(["waiting", "asked"]);
