import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { SetupError } from "../errors.ts";
import { listenError } from "../listen-error.ts";
import { quoted } from "../names.ts";
import type { Metrics } from "./metrics.ts";
import type { Readiness } from "./readiness.ts";

/** Metrics that are served. Disposing of it closes the port. */
export interface MetricsServer extends AsyncDisposable {
  readonly port: number;
}

/**
 * Serves `GET /metrics`, `/healthz` (the process answers) and `/readyz` (its parts are as they should be, 503 and which is not
 * otherwise) in plain HTTP at `HOST:PORT`, until it is disposed of.
 * @throws {SetupError} E_USAGE when that is no address or cannot be had, E_RUNNING when the port is taken.
 */
export async function serveMetrics(at: string, metrics: Metrics, readiness: Readiness): Promise<MetricsServer> {
  const { host, port } = parseMetricsAddress(at);
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

/** @throws {SetupError} E_USAGE. */
function parseMetricsAddress(text: string): { readonly host: string; readonly port: number } {
  const [, name, ipv6, port] = /^(?:([A-Za-z0-9.-]{1,253})|\[([0-9a-fA-F:.]{2,45})\]):(\d{1,5})$/.exec(text) ?? [];
  const host = name ?? ipv6;
  if (host !== undefined && Number(port) <= 65_535) return { host, port: Number(port) };
  throw new SetupError("E_USAGE", `--metrics ${quoted(text)} is not HOST:PORT.`, {
    next: "For example --metrics 127.0.0.1:9464; an IPv6 address stands in brackets.",
  });
}

/** Says how ready this is: 200, or 503 with the parts that are not. */
export async function answerReadiness(readiness: Readiness, response: ServerResponse): Promise<void> {
  const { isReady, text } = await readiness.look();
  send(response, isReady ? 200 : 503, text);
}

async function answer(
  { method, url }: IncomingMessage,
  response: ServerResponse,
  { metrics, readiness }: { readonly metrics: Metrics; readonly readiness: Readiness },
): Promise<void> {
  if (method !== "GET") return send(response, 405, "GET only\n");
  switch (url) {
    case "/metrics":
      return send(response, 200, await metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
    case "/healthz":
      return send(response, 200, "ok\n");
    case "/readyz":
      return await answerReadiness(readiness, response);
    default:
      return send(response, 404, "not found\n");
  }
}

function send(response: ServerResponse, status: number, text: string, type = "text/plain; charset=utf-8"): void {
  const bytes = Buffer.from(text);
  const headers = { "content-type": type, "content-length": bytes.length, "cache-control": "no-store" };
  response.writeHead(status, headers).end(bytes);
}

/** For one request, and between two. */
const WAIT_MS = 15_000;
/** A few that scrape and look. */
const CONNECTIONS = 32;
