import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { answerHealth, sendText } from "../keys/metrics/health-answer.ts";
import type { Readiness } from "../keys/metrics/readiness.ts";
import { HEADER_BYTES } from "../protocol/limits.ts";
import { WEBSOCKET_LIMITS } from "./web-socket-stream.ts";
import type { WitnessDoor } from "./witness/door.ts";

export interface HttpDoorOptions {
  readonly readiness: Pick<Readiness, "look">;
  /** A leg over WebSocket has come on this socket. */
  readonly onLeg: (socket: Duplex, webSocket: WebSocket) => void;
  /** Where it is a witness, too. */
  readonly witness?: WitnessDoor | undefined;
}

/**
 * What a rendezvous says over HTTP: `GET /healthz` and `/readyz`, WebSocket at `/v1/leg`, and what a witness says. It listens nowhere; sockets are handed
 * to it as `connection` events. How long they may take is up to whoever hands them over.
 */
export function httpDoor({ readiness, onLeg, witness }: HttpDoorOptions): Server {
  const webSockets = new WebSocketServer({ noServer: true, clientTracking: false, ...WEBSOCKET_LIMITS });
  const server = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => {
    if (witness !== undefined && request.url === "/add-checkpoint") return witness.handle(request, response);
    response.setHeader("connection", "close");
    if (answerHealth(request, response, readiness)) return;
    if (request.url === "/healthz" || request.url === "/readyz") sendText(response, 405, "GET only\n");
    else sendText(response, 404, "not found\n");
  });
  server.on("clientError", (_error, socket) => socket.destroy());
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // Pages in a browser send an Origin; nothing that speaks for a user does.
    const isLeg = request.url === "/v1/leg" && request.headers.origin === undefined;
    if (isLeg) webSockets.handleUpgrade(request, socket, head, (webSocket) => onLeg(socket, webSocket));
    else
      socket.end(
        `HTTP/1.1 ${request.url === "/v1/leg" ? "403 Forbidden" : "404 Not Found"}\r\nconnection: close\r\n\r\n`,
      );
  });
  return server;
}
