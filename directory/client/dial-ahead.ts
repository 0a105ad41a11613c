import type { Socket } from "node:net";
import { DIRECTORY_CONNECT_MS, DIRECTORY_SILENCE_MS } from "../../protocol/limits.ts";
import { reportCertificate } from "./certificate.ts";
import { silent } from "./silent.ts";

/**
 * Begins the connection of one exchange before there is anything to say on it, so that its round trips pass while the message is
 * made. Whether it comes about, the exchange finds out. Until then it keeps no process alive.
 */
export async function dialAhead(base: URL, signal: AbortSignal, warn: (text: string) => void): Promise<Socket> {
  const isSecure = base.protocol === "https:";
  const host = base.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = Number(base.port) || (isSecure ? 443 : 80);
  const options = { host, port, noDelay: true, timeout: DIRECTORY_CONNECT_MS };
  const socket = isSecure ? await connectSecurely(options, base, warn) : (await import("node:net")).connect(options);
  const abort = (): void => void socket.destroy();
  signal.addEventListener("abort", abort, { once: true });
  socket.once("connect", () => socket.setTimeout(DIRECTORY_SILENCE_MS));
  socket.once("timeout", () => socket.destroy(silent()));
  socket.once("close", () => signal.removeEventListener("abort", abort));
  socket.on("error", ignore).unref();
  if (signal.aborted) abort();
  return socket;
}

async function connectSecurely(
  options: { readonly host: string; readonly port: number; readonly timeout: number },
  base: URL,
  warn: (text: string) => void,
): Promise<Socket> {
  const [tls, { isIP }] = await Promise.all([import("node:tls"), import("node:net")]);
  const servername = isIP(options.host) === 0 ? options.host : "";
  const socket = tls.connect({ ...options, servername, ALPNProtocols: ["http/1.1"], rejectUnauthorized: false });
  socket.once("secureConnect", () => reportCertificate(socket, base, warn));
  return socket;
}

function ignore(): void {}
