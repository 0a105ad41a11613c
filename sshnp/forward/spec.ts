import { isIPv4, isIPv6 } from "node:net";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { SERVICE_BYTES } from "../../protocol/limits.ts";
import { parseService } from "../../protocol/service.ts";

/** Where to listen: both loopback addresses, or one address. */
export type Bind = "loopback" | { readonly address: string };

/** A local port, and what it leads to. */
export interface PortForward {
  /** Undefined: where all others listen as well. */
  readonly bind: Bind | undefined;
  /** 0: the system chooses. */
  readonly port: number;
  /** `tcp:HOST:PORT`, as the device reaches it. */
  readonly service: string;
}

/** A local Unix socket, and what it leads to. */
export interface SocketForward {
  readonly path: string;
  readonly service: string;
}

/** `[BIND:]LPORT:HOST:RPORT`, `LPORT:RPORT` or `RPORT`, HOST being localhost where none is named. @throws {SetupError} E_USAGE. */
export function parsePortForward(text: string): PortForward {
  const fields = fieldsOf(text);
  const [first = "", second = "", third = "", fourth = ""] = fields;
  const usage = (): SetupError =>
    failure(
      `${quoted(text)} does not say what to forward.`,
      "Write 8080:localhost:80, 8080:80 or 80; IPv6 in brackets.",
    );
  switch (fields.length) {
    case 1:
      return { bind: undefined, port: 0, service: serviceOf("localhost", first, usage) };
    case 2:
      return { bind: undefined, port: localPort(first, usage), service: serviceOf("localhost", second, usage) };
    case 3:
      return { bind: undefined, port: localPort(first, usage), service: serviceOf(second, third, usage) };
    case 4:
      return { bind: parseBind(first), port: localPort(second, usage), service: serviceOf(third, fourth, usage) };
    default:
      throw usage();
  }
}

/** As {@link parsePortForward} reads it. */
export function printPortForward({ bind, port, service }: PortForward): string {
  const where = bind === undefined ? "" : `${printBind(bind)}:`;
  return `${where}${port}:${service.slice("tcp:".length)}`;
}

/** `PATH:HOST:RPORT`. @throws {SetupError} E_USAGE. */
export function parseSocketForward(text: string): SocketForward {
  const [, path, host = "", port = ""] = /^(.+):(\[[^[\]]*\]|[^:[\]]+):([^:]*)$/s.exec(text) ?? [];
  const usage = (): SetupError =>
    failure(`${quoted(text)} is no socket to forward.`, "Write PATH:HOST:PORT, such as ./db.sock:localhost:5432");
  if (path === undefined || /\p{Cc}/u.test(path)) throw usage();
  if (new TextEncoder().encode(path).length > SOCKET_PATH_BYTES) {
    throw failure(
      `The path ${quoted(path)} is too long for a socket.`,
      `The system takes ${SOCKET_PATH_BYTES} bytes; a path that is relative to the folder you are in may be shorter.`,
    );
  }
  return { path, service: serviceOf(host, port, usage) };
}

/** `localhost`, or an address; IPv6 with or without brackets. @throws {SetupError} E_USAGE. */
export function parseBind(text: string): Bind {
  if (text === "localhost") return "loopback";
  const address = ipOf(text);
  if (address === undefined) {
    throw failure(
      `${quoted(text)} is no address to listen at.`,
      "Give one of this machine's addresses, 0.0.0.0 or :: for all of them; without --bind it is 127.0.0.1 and ::1 alone.",
    );
  }
  return { address };
}

/** A port to listen at, 0 for one that the system chooses. @throws {SetupError} E_USAGE. */
export function parseLocalPort(text: string): number {
  return localPort(text, () => failure(`${quoted(text)} is no port.`, "A port is a number from 1 to 65535; 0: any."));
}

/** Milliseconds of `30s`, `10m` or `2h`. @throws {SetupError} E_USAGE. */
export function parseIdleTime(text: string): number {
  const [, number, unit = "s"] = /^([1-9][0-9]{0,5})([smh])?$/.exec(text) ?? [];
  const seconds = Number(number) * (unit === "h" ? 3600 : unit === "m" ? 60 : 1);
  if (number === undefined || seconds > LONGEST_IDLE_SECONDS) {
    throw failure(`--timeout ${quoted(text)} is not a time of at most 24 days.`, "Write it as 30s, 10m or 2h.");
  }
  return seconds * 1000;
}

/** Whether only this machine can connect to what listens there. */
export function isLoopbackBind(bind: Bind): boolean {
  return bind === "loopback" || bind.address === "::1" || bind.address.startsWith("127.");
}

/**
 * The service that a host and port are, written in the one way in which grants are compared: in lower case, IPv6 in brackets and as
 * RFC 5952 has it. Undefined where there can be none.
 */
export function tcpService(host: string, port: number): string | undefined {
  if (!Number.isInteger(port) || port < 1 || port > 65_535 || !/^[!-~]{1,255}$/.test(host)) return undefined;
  const address = ipOf(host);
  if (address === undefined && /[:[\]]/.test(host)) return undefined;
  const text = `tcp:${address === undefined ? host.toLowerCase() : bracketed(address)}:${port}`;
  try {
    parseService(text);
    return text;
  } catch {
    return undefined;
  }
}

/** What a timer of Node can count. */
const LONGEST_IDLE_SECONDS = 24 * 24 * 3600;

/** What sun_path holds beside its final zero, on Linux and on others. */
const SOCKET_PATH_BYTES = process.platform === "linux" ? 107 : 103;

/** Between colons, IPv6 in its brackets; none where it is not so. */
function fieldsOf(text: string): readonly string[] {
  if (text.length > 2 * SERVICE_BYTES || !/^(?:\[[^[\]]+\]|[^:[\]]+)(?::(?:\[[^[\]]+\]|[^:[\]]+)){0,3}$/s.test(text))
    return [];
  return text.match(/\[[^[\]]+\]|[^:[\]]+/g) ?? [];
}

function localPort(text: string, usage: () => SetupError): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535) || (text.startsWith("0") && text !== "0")) throw usage();
  return port;
}

function serviceOf(host: string, port: string, usage: () => SetupError): string {
  if (!/^[1-9][0-9]{0,4}$/.test(port)) throw usage();
  const service = tcpService(host, Number(port));
  if (service !== undefined) return service;
  if (Number(port) > 65_535) throw usage();
  throw failure(
    `${quoted(host)} is no host that a device can be asked for.`,
    "A host is a name of a-z, 0-9, dots and hyphens, or an address; IPv6 in brackets: 8080:[fd00::1]:80",
  );
}

/** As RFC 5952 writes it; undefined: it is none. */
function ipOf(text: string): string | undefined {
  if (isIPv4(text)) return text;
  const inner = text.replace(/^\[(.*)\]$/, "$1");
  if (!/^[0-9a-fA-F:.]{2,45}$/.test(inner) || !isIPv6(inner)) return undefined;
  return new URL(`http://[${inner}]/`).hostname.slice(1, -1);
}

function printBind(bind: Bind): string {
  return bind === "loopback" ? "localhost" : bracketed(bind.address);
}

function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

function failure(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}
