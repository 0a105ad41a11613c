import { randomBytes } from "node:crypto";
import { WebSocket } from "ws";
import type { Attack } from "./attack.ts";
import { pace, Sockets } from "./traffic.ts";

const PER_SECOND = 200;

/** Random bytes, and random bytes behind what makes them look right. */
export const garbage: Attack = {
  name: "garbage",
  from: "elsewhere",
  surface: "every port: raw TCP, HTTP requests and bodies, WebSocket messages",
  async run(site, signal) {
    const sockets = new Sockets(256);
    const webSockets = new Set<WebSocket>();
    const body = (): Buffer => randomBytes(Math.floor(Math.random() * 2_000));
    const tcp = (port: number, ...pieces: (string | Buffer)[]): void => {
      const socket = sockets.open(port);
      for (const piece of pieces) socket?.write(piece);
    };
    const overWebSocket = (port: number, path: string): void => {
      if (webSockets.size > 128) return;
      const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`);
      webSockets.add(socket);
      socket
        .on("error", () => {})
        .on("close", () => webSockets.delete(socket))
        .on("open", () => {
          for (let i = 0; i < 4; i++) socket.send(body());
          socket.send("text");
        });
    };
    const sent = await pace(PER_SECOND, signal, (n) => {
      const { directoryPort, rendezvousPort } = site;
      const bytes = body();
      const post = `POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`;
      const moves = [
        () => tcp(directoryPort, bytes),
        () => tcp(rendezvousPort, bytes),
        () => tcp(rendezvousPort, Buffer.of(0), bytes),
        () => tcp(rendezvousPort, "GET ", bytes),
        () => tcp(directoryPort, post, bytes),
        () => tcp(directoryPort, post, Buffer.of(0), bytes),
        () => overWebSocket(directoryPort, "/v1/link"),
        () => overWebSocket(rendezvousPort, "/v1/leg"),
      ];
      moves[n % moves.length]?.();
    });
    for (const socket of webSockets) socket.terminate();
    await sockets.close();
    return `${sent} connections with garbage`;
  },
};
