import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";

export interface HostPort {
  /** DNS name, IPv4 address, or IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** `HOST:PORT`, IPv6 in brackets. @throws {SetupError} E_USAGE naming `option` on anything else. */
export function parseHostPort(text: string, option: string): HostPort {
  const [, name, ipv6, port] = /^(?:([A-Za-z0-9.-]+)|\[([0-9a-fA-F:.]+)\]):(\d{1,5})$/.exec(text) ?? [];
  const host = name ?? ipv6;
  if (host === undefined || Number(port) > 65_535) {
    throw new SetupError("E_USAGE", `${option} ${quoted(text)} is not HOST:PORT.`, {
      next: `For example ${option} 127.0.0.1:7800; an IPv6 address stands in brackets.`,
    });
  }
  return { host: host.toLowerCase(), port: Number(port) };
}

/** The text that {@link parseHostPort} reads back. */
export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
