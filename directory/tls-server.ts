import { createServer, type Server } from "node:https";
import { SetupError } from "../keys/errors.ts";
import { HEADERS_MS } from "../protocol/limits.ts";

/** A server of HTTPS with this certificate chain and key, PEM. @throws {SetupError} E_USAGE when they cannot be used. */
export function withTls(settings: object, tls: { readonly cert: string; readonly key: string }): Server {
  try {
    return createServer({ ...settings, ...tls, handshakeTimeout: HEADERS_MS });
  } catch (cause) {
    const next = "Give a certificate chain and its private key, both PEM.";
    throw new SetupError("E_USAGE", "That certificate and key cannot be used.", { next, cause });
  }
}
