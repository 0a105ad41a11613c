import type { TLSSocket } from "node:tls";
import { quoted } from "../../keys/names.ts";

/** Whose certificate a TLS connection was shown. Its names are other people's words, as they are. */
export interface ShownCertificate {
  readonly subject: string;
  readonly issuer: string;
  /** Until when it is valid, as it is written there. */
  readonly until: string;
  /** Why it does not verify on this machine, in the system's words; undefined when it does. */
  readonly distrusted: string | undefined;
}

/** @throws nothing: what a certificate does not say is empty. */
export function shownCertificate(socket: TLSSocket): ShownCertificate {
  const shown: { subject?: unknown; issuer?: unknown; valid_to?: string } = socket.getPeerCertificate(); // {} where there is none
  const { subject, issuer, valid_to: until = "" } = shown;
  const reason: unknown = socket.authorizationError;
  return {
    subject: nameIn(subject),
    issuer: nameIn(issuer),
    until,
    distrusted: socket.authorized ? undefined : reason instanceof Error ? reason.message : String(reason),
  };
}

/** Tells when the TLS certificate of a connection does not verify. Nothing rests on it, so that stops nothing. */
export function reportCertificate(socket: TLSSocket, place: string, warn: (text: string) => void): void {
  if (socket.authorized) return;
  const { issuer, distrusted } = shownCertificate(socket);
  const whose = issuer === "" ? "" : `, which is of ${quoted(issuer)},`;
  const why = quoted(distrusted ?? "");
  warn(`The TLS certificate of ${place}${whose} does not verify (${why}). Nothing rests on it: going on.`);
}

/** The common name, else the organisation, of one side of a certificate. */
function nameIn(side: unknown): string {
  if (typeof side !== "object" || side === null) return "";
  for (const field of ["CN", "O", "OU"]) {
    const value: unknown = Reflect.get(side, field);
    if (typeof value === "string" && value !== "") return value.slice(0, 128);
  }
  return "";
}
