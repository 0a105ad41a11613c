import { PeerError } from "../keys/errors.ts";

/** What a session is asked for, and a stream reaches on the device; the same string in prologue, policy and OPEN. */
export type Service = StreamService | { readonly kind: "ping" };

/** What streams reach. `ping` is a session's alone: it looks whether the device answers, and no stream is opened for it. */
export type StreamService =
  | { readonly kind: "ssh" }
  | { readonly kind: "tcp"; readonly host: string; readonly port: number };

const TCP = /^tcp:([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?|\[(?=[^\]]*:)[0-9a-f:.]{2,45}\]):([1-9][0-9]{0,4})$/;

/** `ssh`, `tcp:HOST:PORT` (IPv6 in brackets) or `ping`. @throws {PeerError} E_PROTOCOL on anything else. */
export function parseService(text: string): Service {
  if (text === "ssh" || text === "ping") return { kind: text };
  const [, host, port] = TCP.exec(text) ?? [];
  if (host === undefined || Number(port) > 65_535) throw new PeerError("E_PROTOCOL", "unknown service");
  return { kind: "tcp", host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** Login names that may stand in a request: what useradd permits, plus the dot and capitals that directories use. */
export function isLogin(text: string): boolean {
  return text === "" || /^[A-Za-z_][A-Za-z0-9_.-]{0,31}$/.test(text);
}
