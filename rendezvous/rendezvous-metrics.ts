import type { Logger } from "pino";
import { LATENCY_SECONDS, Metrics, STAY_SECONDS } from "../keys/metrics/metrics.ts";
import { parseMetricsAddress } from "../keys/metrics/metrics-address.ts";
import { addProcessMetrics } from "../keys/metrics/process-metrics.ts";
import { type MetricsServer, serveMetrics } from "../keys/metrics/serve.ts";
import { LEG_STATUS } from "../protocol/leg-hello.ts";
import type { LegObserver } from "./observer.ts";
import type { RendezvousServer } from "./server.ts";

/** Counts what a rendezvous does, from before it is there. It knows no names, and no label has a session id or an address. */
export class RendezvousWatch {
  readonly #at: string;
  readonly #metrics = new Metrics();
  readonly observer: LegObserver;

  /** @throws {SetupError} E_USAGE when `at` is not HOST:PORT. */
  constructor(at: string) {
    parseMetricsAddress(at);
    this.#at = at;
    const metrics = this.#metrics;
    addProcessMetrics(metrics);
    const legs = metrics.labelledCounter(
      "sshnp_rendezvous_legs_total",
      "Legs by what became of them: joined (two for each session), dropped unread, cut without a word, or refused and why.",
      { name: "result", values: [...Object.keys(LEG_STATUS), "cut", "dropped"] },
    );
    const waits = metrics.histogram(
      "sshnp_rendezvous_join_seconds",
      "How long the first leg of a session waited for the second.",
      LATENCY_SECONDS,
    );
    const stays = metrics.histogram("sshnp_rendezvous_session_seconds", "How long legs stayed joined.", STAY_SECONDS);
    this.observer = {
      joined: (waitedMs) => {
        legs.add("joined", 2);
        waits.observe(waitedMs / 1000);
      },
      refused: (status) => legs.add(status),
      cut: () => legs.add("cut"),
      dropped: () => legs.add("dropped"),
      ended: (ms) => stays.observe(ms / 1000),
    };
  }

  /** @throws {SetupError} as {@link serveMetrics}. */
  async serve(
    server: Pick<RendezvousServer, "legs" | "legsWaiting" | "most" | "sessions" | "carried" | "readiness">,
    { log, isDraining }: { readonly log: Logger; readonly isDraining: () => boolean },
  ): Promise<MetricsServer> {
    const metrics = this.#metrics;
    metrics.gauge("sshnp_rendezvous_sessions", "Sessions whose two legs are joined now.", () => server.sessions);
    metrics.gauge("sshnp_rendezvous_legs", "Sockets that are open now.", () => server.legs);
    metrics.gauge("sshnp_rendezvous_legs_max", "Sockets that it takes at most.", () => server.most);
    metrics.gauge("sshnp_rendezvous_legs_waiting", "Legs that wait for their other one.", () => server.legsWaiting);
    metrics.gauge(
      "sshnp_rendezvous_draining",
      "Whether it has been asked to end and waits for its sessions (1).",
      () => (isDraining() ? 1 : 0),
    );
    metrics.counterElsewhere(
      "sshnp_rendezvous_carried_bytes_total",
      "Bytes that were carried, by which end sent them.",
      () => {
        const { client, device } = server.carried;
        return [
          { labels: { from: "client" }, value: client },
          { labels: { from: "device" }, value: device },
        ];
      },
    );
    const served = await serveMetrics(this.#at, metrics, server.readiness, log);
    log.info({ port: served.port }, "metrics are served");
    return served;
  }
}
