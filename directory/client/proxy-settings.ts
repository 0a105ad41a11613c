import { BlockList, isIP } from "node:net";
import { SetupError } from "../../keys/errors.ts";
import { Secret } from "../../keys/secret.ts";

/** What is to be reached: by HTTP, by HTTPS, or by something else over TCP. */
export interface ProxyTarget {
  readonly kind: "http" | "https" | "tcp";
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
}

/** An HTTP proxy, which is asked for a tunnel with CONNECT. */
export interface ProxySettings {
  /** Which variable names it. */
  readonly variable: string;
  readonly host: string;
  readonly port: number;
  /** Whether TLS is spoken to the proxy itself. */
  readonly isSecure: boolean;
  readonly user: string | undefined;
  /** Of the URL; else it is read from `passwordFile`. */
  readonly password: Secret | undefined;
  readonly passwordFile: string | undefined;
}

export interface Environment {
  readonly [name: string]: string | undefined;
}

/** Lower case goes first, as with curl; the first of them that is not empty counts. */
const VARIABLES = {
  http: ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"],
  https: ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
  tcp: ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
} as const;

/**
 * Which proxy an environment wants for a target; undefined: none. This machine is never reached by one.
 * @throws {SetupError} E_USAGE when the variable is no URL of an HTTP proxy. Its value is not told: it may hold a password.
 */
export function chooseProxy(env: Environment, { kind, host, port }: ProxyTarget): ProxySettings | undefined {
  const name = VARIABLES[kind].find((variable) => (env[variable] ?? "") !== "");
  if (name === undefined || isThisMachine(host)) return undefined;
  if (isExcepted(env["no_proxy"] || env["NO_PROXY"] || "", host, port)) return undefined;
  return parseProxyUrl(name, env[name] ?? "", env["SSHNP_PROXY_PASSWORD_FILE"] || undefined);
}

/** `HOST:PORT`, for people. */
export function proxyName({ host, port }: ProxySettings): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Reads the value of the variable `name`, with or without `http://`. @throws {SetupError} E_USAGE, without the value. */
export function parseProxyUrl(name: string, text: string, passwordFile?: string): ProxySettings {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase() ?? "http";
  if (scheme.startsWith("socks")) {
    throw new SetupError("E_USAGE", `${name} names a SOCKS proxy, which is not spoken here.`, {
      next: "Name an HTTP proxy that permits CONNECT in HTTPS_PROXY, or except hosts from it: NO_PROXY=HOST,HOST",
    });
  }
  const url = text.length > LONGEST_URL ? undefined : urlOf(text.includes("://") ? text : `http://${text}`);
  const isHttp = url !== undefined && (url.protocol === "http:" || url.protocol === "https:");
  const [user, password] = isHttp ? [decoded(url.username), decoded(url.password)] : [];
  if (!isHttp || url.hostname === "" || user === undefined || password === undefined || user.includes(":")) {
    throw new SetupError("E_USAGE", `${name} is not the URL of an HTTP proxy.`, {
      next: "It reads http://HOST:PORT or https://HOST:PORT, with USER@ before HOST where the proxy asks for a password.",
    });
  }
  const isSecure = url.protocol === "https:";
  return {
    variable: name,
    host: bare(url.hostname),
    port: Number(url.port) || (isSecure ? 443 : 80),
    isSecure,
    user: user === "" ? undefined : user,
    password: password === "" ? undefined : Secret.fromText(password),
    passwordFile,
  };
}

/**
 * Whether NO_PROXY excepts a target: `*` all, a name itself and all below it (a dot or `*.` ahead of it says the same), an IP
 * address, a network as 10.0.0.0/8; each of a name or address perhaps with a port. Entries end with a comma or white space.
 */
export function isExcepted(text: string, host: string, port: number): boolean {
  const name = bare(host.toLowerCase()).replace(/\.$/, "");
  return text
    .slice(0, LONGEST_LIST)
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== "" && covers(entry, name, port));
}

function covers(entry: string, name: string, port: number): boolean {
  if (entry === "*") return true;
  const network = /^\[?([0-9a-f:.]+)\]?\/([0-9]{1,3})$/.exec(entry);
  if (network !== null) return isWithin(name, network[1] ?? "", Number(network[2]));
  const [, bracketed, plain, itsPort] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::([0-9]{1,5}))?$/.exec(entry) ?? [];
  if (itsPort !== undefined && Number(itsPort) !== port) return false;
  const place = bracketed ?? plain ?? entry; // an IPv6 address without brackets has no port
  if (isIP(place) !== 0) return isWithin(name, place, isIP(place) === 4 ? 32 : 128);
  const suffix = place.replace(/^\*?\./, "").replace(/\.$/, "");
  return suffix !== "" && isIP(name) === 0 && (name === suffix || name.endsWith(`.${suffix}`));
}

function isWithin(address: string, network: string, bits: number): boolean {
  const [one, other] = [isIP(address), isIP(network)];
  if (one === 0 || one !== other || bits > (one === 4 ? 32 : 128)) return false;
  const list = new BlockList();
  const family = one === 4 ? "ipv4" : "ipv6";
  list.addSubnet(network, bits, family);
  return list.check(address, family);
}

function isThisMachine(host: string): boolean {
  const name = bare(host.toLowerCase()).replace(/\.$/, "");
  if (isIP(name) === 6) return isWithin(name, "::1", 128) || isWithin(name, "::ffff:127.0.0.0", 104);
  return name === "localhost" || name.endsWith(".localhost") || isWithin(name, "127.0.0.0", 8);
}

function bare(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function urlOf(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

/** Undefined when it is no text that a header could carry. */
function decoded(text: string): string | undefined {
  try {
    const plain = decodeURIComponent(text);
    return /^\P{Cc}*$/u.test(plain) ? plain : undefined;
  } catch {
    return undefined;
  }
}

const LONGEST_URL = 2048;
const LONGEST_LIST = 64 * 1024;
