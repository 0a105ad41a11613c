import { once } from "node:events";
import { DIRECTORY_CONNECT_MS } from "../../protocol/limits.ts";
import { type ShownCertificate, shownCertificate } from "./certificate.ts";
import { unreachable } from "./http-exchange.ts";
import { placeOf } from "./place.ts";
import { proxyFor } from "./proxy.ts";

/**
 * Whose certificate is shown at an address, on the way that the ends take there, through a proxy where they do; undefined where
 * there is no TLS. For whoever wants to know who reads along: one that this machine does not trust may be a company's
 * inspection, or self-signed, and either stops nothing.
 * @param url https or wss; of http and ws there is nothing to say.
 * @throws {UnavailableError} E_DIRECTORY when nobody answers with TLS there; {DeniedError} E_PROXY_AUTH; {SetupError} E_USAGE for a
 * variable that names no proper proxy; the signal's reason.
 */
export async function certificateAt(
  url: URL,
  { signal: given }: { readonly signal: AbortSignal },
): Promise<ShownCertificate | undefined> {
  const { isSecure, ...place } = placeOf(url);
  if (!isSecure) return undefined;
  const [{ isIP }, { connect }] = await Promise.all([import("node:net"), import("node:tls")]);
  const { connectPersistently } = await import("./persistent-connect.ts");
  const limit = AbortSignal.timeout(2 * DIRECTORY_CONNECT_MS);
  const signal = AbortSignal.any([given, limit]);
  try {
    const openTunnel = await proxyFor({ kind: "https", ...place });
    const socket = openTunnel
      ? await openTunnel({ signal, limitMs: DIRECTORY_CONNECT_MS })
      : await connectPersistently(place, signal);
    const names = isIP(place.host) === 0 ? { servername: place.host } : { host: place.host };
    const secure = connect({ socket, ...names, rejectUnauthorized: false });
    try {
      await once(secure, "secureConnect", { signal });
      return shownCertificate(secure);
    } finally {
      secure.on("error", ignore).destroy();
    }
  } catch (cause) {
    given.throwIfAborted();
    throw unreachable(url, cause);
  }
}

function ignore(): void {}
