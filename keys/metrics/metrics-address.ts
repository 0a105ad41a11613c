import { SetupError } from "../errors.ts";
import { quoted } from "../names.ts";

/**
 * What --metrics takes: HOST:PORT, or PORT alone, which is on 127.0.0.1. An IPv6 address stands in brackets.
 * @throws {SetupError} E_USAGE.
 */
export function parseMetricsAddress(text: string): { readonly host: string; readonly port: number } {
  const [, name, ipv6, port] = FORM.exec(text) ?? [];
  if (port !== undefined && Number(port) <= 65_535) return { host: name ?? ipv6 ?? "127.0.0.1", port: Number(port) };
  throw new SetupError("E_USAGE", `--metrics ${quoted(text)} is not HOST:PORT.`, {
    next: "For example --metrics 127.0.0.1:9464; an IPv6 address stands in brackets, and a port alone is on 127.0.0.1.",
  });
}

const FORM = /^(?:(?:([A-Za-z0-9.-]{1,253})|\[([0-9a-fA-F:.]{2,45})\]):)?(\d{1,5})$/;
