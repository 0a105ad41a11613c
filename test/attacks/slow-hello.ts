import type { Attack } from "./attack.ts";
import { pace, Sockets } from "./traffic.ts";

/** More than the services keep for those who have said nothing yet. */
const SOCKETS = 5_000;
const PER_SECOND = 500;

const UPGRADE = (path: string): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`;

/** Thousands of legs and links whose hello comes at a byte a second, or never. */
export const slowHello: Attack = {
  name: "slow-hello",
  from: "elsewhere",
  surface: "rendezvous: TCP and WebSocket legs; directory: links",
  async run(site, signal) {
    const sockets = new Sockets(SOCKETS);
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable && socket.writableLength === 0) socket.write("\0");
    }, 1_000);
    const opened = await pace(PER_SECOND, signal, (n) => {
      const { directoryPort, rendezvousPort } = site;
      const kind = n % 4;
      if (kind === 0) sockets.open(rendezvousPort);
      else if (kind === 1) sockets.open(rendezvousPort)?.write(Buffer.of(0, 3));
      else if (kind === 2) sockets.open(rendezvousPort)?.write(UPGRADE("/v1/leg"));
      else sockets.open(directoryPort)?.write(UPGRADE("/v1/link"));
    });
    clearInterval(drip);
    await sockets.close();
    return `${opened} connections without a hello`;
  },
};
