import type { TLSSocket } from "node:tls";
import { quoted } from "../../keys/names.ts";

/** Tells when the TLS certificate of a connection does not verify. Nothing rests on it, so that stops nothing. */
export function reportCertificate(socket: TLSSocket, base: URL, warn: (text: string) => void): void {
  if (socket.authorized) return;
  const reason: unknown = socket.authorizationError;
  const why = quoted(reason instanceof Error ? reason.message : String(reason));
  warn(`The TLS certificate of ${base.host} does not verify (${why}). Nothing rests on it: going on.`);
}
