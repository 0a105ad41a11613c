import type { Socket } from "node:net";
import { DIRECTORY_CONNECT_MS, DIRECTORY_SILENCE_MS } from "../../protocol/limits.ts";
import { reportCertificate } from "./certificate.ts";
import { placeOf } from "./place.ts";

/**
 * Begins the connection of one exchange, perhaps before there is anything to say on it. It closes with an error ETIMEDOUT when it does
 * not come about, or nothing comes, in time. It keeps no process alive until it is told to.
 */
export async function dial(base: URL, signal: AbortSignal, warn: (text: string) => void): Promise<Socket> {
  const socket = await begin(base, warn);
  const abort = (): void => void socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  socket.once("connect", () => socket.setTimeout(DIRECTORY_SILENCE_MS));
  socket.once("timeout", () => {
    socket.destroy(Object.assign(new Error("the directory is silent"), { code: "ETIMEDOUT" }));
  });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  socket.on("error", ignore).unref(); // whoever uses it hears of it
  if (signal.aborted) abort();
  return socket;
}

async function begin(base: URL, warn: (text: string) => void): Promise<Socket> {
  const { host, port, isSecure } = placeOf(base);
  const { connect, isIP } = await import("node:net");
  const options = { host, port, noDelay: true, timeout: DIRECTORY_CONNECT_MS };
  if (!isSecure) return connect(options);
  const tls = await import("node:tls");
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket = tls.connect({ ...options, ...servername, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false });
  socket.once("secureConnect", () => reportCertificate(socket, base, warn));
  return socket;
}

function ignore(): void {}
