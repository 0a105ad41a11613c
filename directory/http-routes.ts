import type { IncomingMessage, ServerResponse } from "node:http";
import type { Logger } from "pino";
import { answerHealth } from "../keys/metrics/health-answer.ts";
import type { Readiness } from "../keys/metrics/readiness.ts";
import { encodeSignedText } from "../protocol/messages/link.ts";
import { BROKER_ACCESS_PREFIX, type BrokerAccess } from "./broker-access.ts";
import type { Clock } from "./clock.ts";
import type { ConnectObserver } from "./connect-observer.ts";
import type { Keyring } from "./keyring.ts";
import type { LinkServer } from "./link-server.ts";
import type { Log } from "./log/log.ts";
import { LOG_PREFIX, serveLog } from "./log/routes.ts";
import type { NewestKeys } from "./newest-keys.ts";
import { type PostServer, refuse } from "./post.ts";
import type { AddressLimiter } from "./rate-limit.ts";
import { retryAfter } from "./returning.ts";
import type { Strangers } from "./strangers.ts";
import { logFailure } from "./log-failure.ts";

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
  readonly readiness: Readiness;
  readonly observer: ConnectObserver | undefined;
}

/** Answers a request. */
export function route(request: IncomingMessage, response: ServerResponse, routes: Routes): void {
  const { posts, limiter, strangers, clock, log, brokerAccess } = routes;
  const address = request.socket.remoteAddress ?? "";
  const what = `${request.method} ${request.url}`;
  const failed = (error: unknown): void => {
    if (request.complete) logFailure(log, error, "request failed");
    response.destroy();
  };
  if (answerHealth(request, response, routes.readiness)) return;
  if (request.url?.startsWith(BROKER_ACCESS_PREFIX) === true && brokerAccess !== undefined) {
    brokerAccess.serve(request, response).catch(failed);
    return;
  }
  const now = clock.monotonic();
  const bucket = limiter.bucket(address, now);
  if (!bucket.take(now)) {
    routes.observer?.turnedAway("address rate");
    return refuse(response, 429, { "retry-after": retryAfter(bucket.wait(now, 1)) });
  }
  if (what === "GET /v1/keys") {
    void serveKeyList(response, routes);
  } else if (what === "POST /v1/messages") {
    posts.post(request, response, address, strangers).catch(failed);
  } else if (what.startsWith(`GET ${LOG_PREFIX}`)) {
    void serveLog(request.url ?? "", response, routes);
  } else {
    refuse(response, 404);
  }
}

async function serveKeyList(response: ServerResponse, { keyring, newestKeys }: Routes): Promise<void> {
  await newestKeys.look();
  response.writeHead(200, { "content-type": "application/octet-stream", "cache-control": "no-store" });
  response.end(encodeSignedText(keyring.keyList));
}
