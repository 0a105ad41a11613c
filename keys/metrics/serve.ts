import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type AcceptLog, tellAcceptErrors } from "../accept-errors.ts";
import { listenError } from "../listen-error.ts";
import { sendText } from "./health-answer.ts";
import type { Metrics } from "./metrics.ts";
import { parseMetricsAddress } from "./metrics-address.ts";
import type { Readiness } from "./readiness.ts";

/** Metrics that are served. Disposing of it closes the port. */
export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Serves `GET /metrics`, `/healthz` (the process answers) and `/readyz` (whether it can do its work, else 503; a JSON
 * object that tells of each part) in plain HTTP at `HOST:PORT`, until it is disposed of. How ready it is stands in the metrics, too.
 * `log` hears of connections that cannot be accepted.
 * @throws {SetupError} E_USAGE when that is no address or cannot be had, E_RUNNING when the port is taken.
 */
export async function serveMetrics(
  at: string,
  metrics: Metrics,
  readiness: Readiness,
  log: AcceptLog,
): Promise<MetricsServer> {
  const { host, port } = parseMetricsAddress(at);
  addReadiness(metrics, readiness);
  const settings = { maxHeaderSize: 8192, headersTimeout: WAIT_MS, requestTimeout: WAIT_MS, keepAliveTimeout: WAIT_MS };
  const server = createServer({ ...settings, connectionsCheckingInterval: WAIT_MS }, (request, response) => {
    answer(request, response, { metrics, readiness }).catch(() => response.destroy());
  });
  server.maxConnections = CONNECTIONS;
  server.on("clientError", (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(listenError(at, cause, "Choose another --metrics HOST:PORT.")));
    server.listen({ host, port }, resolve);
  });
  tellAcceptErrors(server, log);
  server.unref();
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function addReadiness(metrics: Metrics, readiness: Readiness): void {
  metrics.gauge("sshnp_ready", "Whether this process can do its work (1) or not (0), as /readyz says.", async () =>
    (await readiness.look()).status === "not ready" ? 0 : 1,
  );
  metrics.gauge("sshnp_check_ok", "Whether a part is as it should be (1), by the names in /readyz.", async () =>
    (await readiness.look()).checks.map(({ name, status }) => ({
      labels: { check: name },
      value: status === "ok" ? 1 : 0,
    })),
  );
}

async function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  { metrics, readiness }: { readonly metrics: Metrics; readonly readiness: Readiness },
): Promise<void> {
  if (method !== "GET") return sendText(response, 405, "GET only\n");
  switch (url) {
    case "/metrics":
      return sendText(response, 200, await metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
    case "/healthz":
      return sendText(response, 200, "ok\n");
    case "/readyz": {
      const standing = await readiness.look();
      const status = standing.status === "not ready" ? 503 : 200;
      return sendText(response, status, `${JSON.stringify(standing)}\n`, "application/json");
    }
    default:
      return sendText(response, 404, "not found\n");
  }
}

/** For one request, and between two. */
const WAIT_MS = 15_000;
/** A few that scrape and look. */
const CONNECTIONS = 32;
