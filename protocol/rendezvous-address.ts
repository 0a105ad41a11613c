import { PeerError } from "../keys/errors.ts";

/** Where a rendezvous takes legs: raw TCP, or a WebSocket where nothing else gets through. */
export interface RendezvousAddress {
  readonly transport: "tcp" | "ws" | "wss";
  /** DNS name, IPv4 address, or IPv6 address without brackets. */
  readonly host: string;
  readonly port: number;
}

const FORM =
  /^(tcp|ws|wss):\/\/(?:([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)|\[(?=[^\]]*:)([0-9a-f:.]{2,45})\]):([1-9][0-9]{0,4})$/;

/** @throws {PeerError} E_PROTOCOL when `text` is not `tcp://`, `ws://` or `wss://` and host:port. */
export function parseRendezvousAddress(text: string): RendezvousAddress {
  const [, transport, name, ipv6, port] = FORM.exec(text) ?? [];
  const host = name ?? ipv6;
  if (transport === undefined || host === undefined || Number(port) > 65_535) {
    throw new PeerError("E_PROTOCOL", "not a rendezvous address");
  }
  return { transport: transport as RendezvousAddress["transport"], host, port: Number(port) };
}

export function isRendezvousAddress(text: string): boolean {
  try {
    parseRendezvousAddress(text);
    return true;
  } catch {
    return false;
  }
}

/** The text that {@link parseRendezvousAddress} reads back. */
export function formatRendezvousAddress(address: RendezvousAddress): string {
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${address.transport}://${host}:${address.port}`;
}
