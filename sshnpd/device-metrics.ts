import { SshnpError } from "../keys/errors.ts";
import { LATENCY_SECONDS, type LabelledCounter, Metrics } from "../keys/metrics/metrics.ts";
import { parseMetricsAddress } from "../keys/metrics/metrics-address.ts";
import { addProcessMetrics } from "../keys/metrics/process-metrics.ts";
import { type Check, Readiness } from "../keys/metrics/readiness.ts";
import { type MetricsServer, serveMetrics } from "../keys/metrics/serve.ts";
import type { ChannelStream } from "../protocol/channel/stream-adapter.ts";
import { REFUSAL_NUMBERS } from "../protocol/refusal-codes.ts";
import type { DeviceObserver, LinkWay } from "./device-observer.ts";
import type { Log } from "./log.ts";
import type { Requests } from "./requests.ts";
import type { Sessions } from "./sessions.ts";
import type { SshServer } from "./ssh-server.ts";

/** Counts what a daemon does, from before it is there. No label has a name, a key, a session id or an address. */
export class DeviceWatch {
  readonly #at: string;
  readonly #hasBroker: boolean;
  readonly #metrics = new Metrics();
  readonly #requests: LabelledCounter;
  readonly #links: LabelledCounter;
  readonly #answers: { observe(seconds: number): void };
  readonly #streams = new Set<ChannelStream>();
  /** Of streams that are over. */
  readonly #carried = { received: 0, sent: 0 };
  #isLinked = false;
  #way: LinkWay = "websocket";
  #lost = 0;
  #begun = 0;
  readonly observer: DeviceObserver;

  /** @throws {SetupError} E_USAGE when `at` is not HOST:PORT. */
  constructor(at: string, { hasBroker }: { readonly hasBroker: boolean }) {
    parseMetricsAddress(at);
    this.#at = at;
    this.#hasBroker = hasBroker;
    const metrics = this.#metrics;
    addProcessMetrics(metrics);
    this.#requests = metrics.labelledCounter(
      "sshnp_device_requests_total",
      "Session requests by what this device answered: granted, or why not.",
      { name: "result", values: ["granted", ...Object.keys(REFUSAL_NUMBERS)] },
    );
    this.#answers = metrics.histogram(
      "sshnp_device_answer_seconds",
      "How long this device took to answer a session request.",
      LATENCY_SECONDS,
    );
    const confirmed = metrics.histogram(
      "sshnp_device_confirm_seconds",
      "How long it took from the grant of a session to its client's proof: both ways to the rendezvous and the handshake.",
      LATENCY_SECONDS,
    );
    const ended = metrics.labelledCounter("sshnp_device_sessions_ended_total", "Sessions that are over, and how.", {
      name: "how",
      values: ["closed", "broken off", "failed", "given up"],
    });
    this.#links = metrics.labelledCounter(
      "sshnp_device_links_total",
      "Links to the directory that were made, by way.",
      {
        name: "way",
        values: ["websocket", "mqtt"],
      },
    );
    this.observer = {
      confirmed: (ms) => confirmed.observe(ms / 1000),
      ended: (how) => ended.add(how),
      stream: (stream) => this.#serve(stream),
    };
  }

  /** What a request was answered. */
  readonly answered = (result: string): void => this.#requests.add(result);

  /** The same requests, timed. */
  timed(requests: Pick<Requests, "answer">): Pick<Requests, "answer"> {
    return {
      answer: async (notify, proved) => {
        const began = performance.now();
        const answer = await requests.answer(notify, proved);
        this.#answers.observe((performance.now() - began) / 1000);
        return answer;
      },
    };
  }

  /** The link is, or will be, by this way. */
  readonly goes = (way: LinkWay): void => {
    this.#way = way;
    if (this.#hasBroker) this.#links.add(way);
  };

  linked(): void {
    this.#isLinked = true;
    if (!this.#hasBroker) this.#links.add("websocket");
  }

  lost(): void {
    if (this.#isLinked) this.#lost += 1;
    this.#isLinked = false;
  }

  /** @throws {SetupError} as {@link serveMetrics}. */
  async serve(
    { sessions, sshServer }: { readonly sessions: Sessions; readonly sshServer: Pick<SshServer, "mode" | "hostKeys"> },
    log: Log,
  ): Promise<MetricsServer> {
    const metrics = this.#metrics;
    metrics.gauge("sshnp_device_link_up", "Whether this device is online (1), by which way.", () =>
      (["websocket", "mqtt"] as const).map((way) => ({
        labels: { way },
        value: this.#isLinked && this.#way === way ? 1 : 0,
      })),
    );
    metrics.counterElsewhere("sshnp_device_links_lost_total", "How often this device went offline.", () => this.#lost);
    metrics.gauge("sshnp_device_sessions", "Sessions whose client has proved itself.", () => sessions.confirmed);
    metrics.gauge("sshnp_device_sessions_unconfirmed", "Sessions that wait for their client's proof.", () => {
      return sessions.count - sessions.confirmed;
    });
    metrics.counterElsewhere("sshnp_device_streams_total", "Streams that were served.", () => this.#begun);
    metrics.gauge("sshnp_device_streams", "Streams that are served now.", () => this.#streams.size);
    metrics.counterElsewhere("sshnp_device_bytes_total", "Bytes of streams, from clients and to them.", () => {
      const { received, sent } = this.#bytes();
      return [
        { labels: { direction: "received" }, value: received },
        { labels: { direction: "sent" }, value: sent },
      ];
    });
    const readiness = new Readiness();
    readiness.add(...this.#checks(sessions, sshServer));
    const server = await serveMetrics(this.#at, metrics, readiness, log);
    log.info({ port: server.port }, "metrics are served");
    return server;
  }

  #checks(sessions: Pick<Sessions, "hasRoom">, sshServer: Pick<SshServer, "mode" | "hostKeys">): Check[] {
    const checks: Check[] = [
      { name: "directory", look: () => (this.#isLinked ? undefined : { failed: "there is no link" }) },
      {
        name: "room",
        look: () => (sessions.hasRoom ? undefined : { failed: "it has as many sessions as it may have" }),
      },
    ];
    if (this.#hasBroker) {
      const without = { degraded: "the MQTT broker does not serve; waiting at the directory itself" };
      checks.push({ name: "broker", look: () => (this.#isLinked && this.#way !== "mqtt" ? without : undefined) });
    }
    if (sshServer.mode === "off") return checks;
    const look = async (): Promise<{ readonly failed: string } | undefined> => {
      try {
        await sshServer.hostKeys("");
        return undefined;
      } catch (error) {
        if (error instanceof SshnpError) return { failed: `${error.code}: the log says more` };
        throw error;
      }
    };
    return [...checks, { name: "ssh server", look }];
  }

  #serve(stream: ChannelStream): void {
    this.#begun += 1;
    this.#streams.add(stream);
    stream.once("close", () => {
      this.#streams.delete(stream);
      this.#carried.received += stream.bytesReceived;
      this.#carried.sent += stream.bytesSent;
    });
  }

  #bytes(): { readonly received: number; readonly sent: number } {
    const bytes = { ...this.#carried };
    for (const { bytesReceived, bytesSent } of this.#streams) {
      bytes.received += bytesReceived;
      bytes.sent += bytesSent;
    }
    return bytes;
  }
}
