import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Logger } from "pino";
import { encodeSignedText } from "../protocol/messages/link.ts";
import { BROKER_ACCESS_PREFIX, type BrokerAccess } from "./broker-access.ts";
import type { Clock } from "./clock.ts";
import type { Keyring } from "./keyring.ts";
import type { LinkServer } from "./link-server.ts";
import type { Log } from "./log/log.ts";
import { LOG_PREFIX, logFile } from "./log/routes.ts";
import type { NewestKeys } from "./newest-keys.ts";
import { type PostServer, refuse } from "./post.ts";
import type { AddressLimiter } from "./rate-limit.ts";
import type { Strangers } from "./strangers.ts";

/** Who answers what comes by HTTP. */
export interface Routes {
  readonly posts: PostServer;
  readonly links: LinkServer;
  readonly keyring: Keyring;
  readonly newestKeys: NewestKeys;
  readonly statementLog: Log;
  /** Undefined where there is no broker. */
  readonly brokerAccess: BrokerAccess | undefined;
  readonly limiter: AddressLimiter;
  readonly strangers: Strangers;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Answers a request. */
export function route(request: IncomingMessage, response: ServerResponse, routes: Routes): void {
  const { posts, limiter, strangers, clock, log, brokerAccess } = routes;
  const address = request.socket.remoteAddress ?? "";
  const what = `${request.method} ${request.url}`;
  if (what === "GET /healthz") {
    response.writeHead(200, { "content-type": "text/plain" }).end("ok\n");
    return;
  }
  const now = clock.monotonic();
  if (!limiter.bucket(address, now).take(now)) return refuse(response, 429, { "retry-after": "5" });
  if (what === "GET /v1/keys") {
    void serveKeyList(response, routes);
  } else if (what === "POST /v1/messages") {
    posts.post(request, response, address, strangers).catch((error: unknown) => {
      if (request.complete) log.error({ err: error }, "request failed");
      response.destroy();
    });
  } else if (request.url?.startsWith(BROKER_ACCESS_PREFIX) === true && brokerAccess !== undefined) {
    brokerAccess.serve(request, response).catch((error: unknown) => {
      if (request.complete) log.error({ err: error }, "request failed");
      response.destroy();
    });
  } else if (what.startsWith(`GET ${LOG_PREFIX}`)) {
    serveLog(request.url ?? "", response, routes);
  } else {
    refuse(response, 404);
  }
}

async function serveKeyList(response: ServerResponse, { keyring, newestKeys }: Routes): Promise<void> {
  await newestKeys.look();
  response.writeHead(200, { "content-type": "application/octet-stream", "cache-control": "no-store" });
  response.end(encodeSignedText(keyring.keyList));
}

function serveLog(path: string, response: ServerResponse, { statementLog, log }: Routes): void {
  const serve = async (): Promise<void> => {
    const answer = await logFile(statementLog, path);
    if (answer === undefined) return refuse(response, 404);
    response.writeHead(answer.status, { ...answer.headers, "content-length": answer.body.length }).end(answer.body);
  };
  serve().catch((error: unknown) => {
    log.error({ err: error }, "request failed");
    refuse(response, 503);
  });
}

/** Takes a request for a WebSocket. */
export function upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, routes: Routes): void {
  const { links, limiter, clock } = routes;
  const address = request.socket.remoteAddress ?? "";
  const now = clock.monotonic();
  const refuseUpgrade = (status: string): void => {
    // No timer of HTTP's counts any more: who keeps its own side open would keep the descriptor.
    socket.once("finish", () => socket.destroy());
    socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  };
  socket.on("error", () => socket.destroy());
  if (request.url !== "/v1/link") return refuseUpgrade("404 Not Found");
  // Only browsers send it, and no page has any business here.
  if (request.headers.origin !== undefined) return refuseUpgrade("403 Forbidden");
  if (!limiter.bucket(address, now).take(now)) return refuseUpgrade("429 Too Many Requests");
  links.accept(request, socket, head);
}
