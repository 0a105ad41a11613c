import type { Socket } from "node:net";
import type { ProxyTarget } from "./proxy-settings.ts";

export { ProxyError } from "./proxy-error.ts";

interface Patience {
  readonly signal: AbortSignal;
  /** For the connection to the proxy and its answer, each. */
  readonly limitMs: number;
}

const VARIABLES = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];

/** `HOST:PORT` of the proxy that this process's environment wants for a target, for people; undefined: none. @throws {SetupError} E_USAGE. */
export async function proxyNameFor(target: ProxyTarget): Promise<string | undefined> {
  const { chooseProxy, proxyName } = await import("./proxy-settings.ts");
  const proxy = chooseProxy(process.env, target);
  return proxy === undefined ? undefined : proxyName(proxy);
}

/**
 * How to reach a target through the proxy that this process's environment wants for it; undefined: directly. What that takes
 * is loaded where there is any proxy alone.
 * @throws {SetupError} E_USAGE when the variable is no URL of an HTTP proxy. The tunnel: as openTunnel of proxy-tunnel.ts.
 */
export async function proxyFor(target: ProxyTarget): Promise<((patience: Patience) => Promise<Socket>) | undefined> {
  if (VARIABLES.every((name) => (process.env[name] ?? "") === "")) return undefined;
  const { chooseProxy } = await import("./proxy-settings.ts");
  const proxy = chooseProxy(process.env, target);
  if (proxy === undefined) return undefined;
  const { openTunnel } = await import("./proxy-tunnel.ts");
  return (patience) => openTunnel(proxy, target, patience);
}
