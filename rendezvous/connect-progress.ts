import { SshnpError } from "../keys/errors.ts";
import { ProxyError } from "../directory/client.ts";
import { DIAL_MS } from "../protocol/limits.ts";

/** How far an attempt to connect has come, for whoever has to find out what is in the way. */
export class ConnectProgress {
  #resolved = false;
  #connected: "TCP ok" | "through the proxy" | undefined;

  /** A name was looked up. */
  resolved(): void {
    this.#resolved = true;
  }

  connected(how: "TCP ok" | "through the proxy"): void {
    this.#connected = how;
  }

  /** What an attempt that took too long was waiting for. */
  get waitsFor(): string {
    if (this.#connected === "TCP ok") return "TCP ok, but it does not answer";
    if (this.#connected === "through the proxy") return "the proxy connects, but it does not answer";
    return this.#resolved ? "DNS ok, TCP blocked" : "TCP blocked";
  }
}

/** It leads to a private address, and may not. */
export class PrivateAddressError extends Error {
  override readonly name = "PrivateAddressError";
  readonly code = "PRIVATE";
}

const REASONS: Readonly<Record<string, string>> = {
  PRIVATE: "a private address, which only a directory at a private address may name",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "no route",
  ENETUNREACH: "no network",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "DNS does not answer",
  ETIMEDOUT: "timeout",
};

/** Why an attempt failed, in words. */
export function reasonOf(error: unknown, progress: ConnectProgress): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `timeout after ${DIAL_MS / 1000} s; ${progress.waitsFor}`;
  if (error instanceof ProxyError || error instanceof SshnpError) return error.message.replace(/\.$/, "");
  const code = "code" in error ? String(error.code) : "";
  return REASONS[code] ?? (code === "" ? error.message : code);
}
