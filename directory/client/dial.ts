import type { Socket } from "node:net";
import { DIRECTORY_CONNECT_MS, DIRECTORY_SILENCE_MS } from "../../protocol/limits.ts";
import { reportCertificate } from "./certificate.ts";
import { placeOf } from "./place.ts";
import { proxyFor } from "./proxy.ts";
import { noteOver } from "./reached.ts";

/**
 * Begins the connection of one exchange, perhaps before there is anything to say on it. It closes with an error ETIMEDOUT when it does
 * not come about, or nothing comes, in time. It keeps no process alive until it is told to.
 * @throws as proxyFor of proxy.ts; through a proxy the connection is there when this returns.
 */
export async function dial(base: URL, signal: AbortSignal, warn: (text: string) => void): Promise<Socket> {
  const { host, port, isSecure } = placeOf(base);
  const openTunnel = await proxyFor({ kind: isSecure ? "https" : "http", host, port });
  const tunnel = await openTunnel?.({ signal, limitMs: DIRECTORY_CONNECT_MS });
  const socket = await begin(base, tunnel, warn);
  const abort = (): void => void socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  if (tunnel === undefined) socket.once("connect", () => socket.setTimeout(DIRECTORY_SILENCE_MS));
  else socket.setTimeout(DIRECTORY_SILENCE_MS);
  socket.once("timeout", () => {
    socket.destroy(Object.assign(new Error("the directory is silent"), { code: "ETIMEDOUT" }));
  });
  socket.once("close", () => signal.removeEventListener("abort", abort));
  socket.on("error", ignore).unref(); // whoever uses it hears of it
  if (signal.aborted) abort();
  return socket;
}

async function begin(base: URL, tunnel: Socket | undefined, warn: (text: string) => void): Promise<Socket> {
  const { host, port, isSecure } = placeOf(base);
  const { connect, isIP } = await import("node:net");
  const options = { host, port, noDelay: true, timeout: DIRECTORY_CONNECT_MS };
  if (!isSecure) return tunnel ?? connect(options);
  const tls = await import("node:tls");
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const socket = tls.connect({
    ...(tunnel === undefined ? options : { socket: tunnel }),
    ...{ ...servername, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false },
  });
  if (tunnel !== undefined) noteOver(socket, tunnel);
  socket.once("secureConnect", () => reportCertificate(socket, base.host, warn));
  return socket;
}

function ignore(): void {}
