import { UnavailableError } from "../../keys/errors.ts";
import { printable } from "../../keys/print-error.ts";

/** What of a broker's place its failures depend on. */
interface Place {
  readonly url: URL;
  readonly ca?: string | undefined;
  readonly certificate?: object | undefined;
}

interface Told {
  readonly why: string;
  readonly next: string;
}

/** Why a broker cannot be used, and what to do; TLS failures in words, by the codes that Node and OpenSSL give them. */
export function brokerError(place: Place, cause: unknown): UnavailableError {
  const { why, next } = tlsFailure(place, cause) ?? { why: reasonOf(cause), next: nextStep(place, cause) };
  return new UnavailableError(
    "E_DIRECTORY",
    `The MQTT broker at ${place.url.host} cannot be used: ${printable(why)}.`,
    {
      ...{ next, cause },
    },
  );
}

/** A connection on which TLS was to begin has ended, and nothing had come back. */
export class NoTlsSeenError extends Error {}

function tlsFailure({ url, ca, certificate }: Place, cause: unknown): Told | undefined {
  const code = codeOf(cause);
  if (UNTRUSTED.has(code)) {
    return {
      why: `whoever vouches for its certificate is not known here (${reasonOf(cause)})`,
      next:
        ca === undefined
          ? "Name the authority that has issued the broker's certificate: --mqtt-ca FILE (PEM)."
          : "--mqtt-ca names another authority than the one that has issued the broker's certificate: give that one's (PEM).",
    };
  }
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return {
      why: `its certificate is for another host than ${url.hostname}`,
      next: "Name it in --mqtt as its certificate does, or give the broker a certificate for that name.",
    };
  }
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID") {
    return {
      why: `its certificate ${code === "CERT_HAS_EXPIRED" ? "has expired" : "is not valid yet"} by this machine's clock`,
      next: "Renew it at the broker; if it is valid, set this machine's clock: timedatectl set-ntp true",
    };
  }
  if (cause instanceof NoTlsSeenError) {
    return {
      why: "it has closed the connection without a word of TLS",
      next: `${TLS_PORT} ${OTHERWISE}`,
    };
  }
  if (NO_TLS.test(code)) {
    return {
      why: "what answers at that port does not speak TLS",
      next: TLS_PORT,
    };
  }
  if (!ALERT.test(code)) return undefined;
  if (certificate === undefined) {
    return {
      why: "it wants a certificate of this end, and none is given",
      next: "Give one that the broker's authority has issued: --mqtt-cert FILE --mqtt-key FILE.",
    };
  }
  const [, alert = ""] = ALERT.exec(code) ?? [];
  return {
    why: `it does not take the certificate of --mqtt-cert (${alert.replaceAll("_", " ").toLowerCase()})`,
    next: `${SEE_CERTIFICATE} The broker's log says more.`,
  };
}

/** Of the certificate that the broker shows, as Node names it (X509_V_ERR_ of OpenSSL). */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/**
 * Alerts about the certificate of this end (RFC 8446 section 6.2); TLS 1.2 has `handshake failure` where there is none. What is SSLV3
 * up to OpenSSL 3.1 is SSL/TLS from 3.2 on.
 */
const ALERT =
  /^ERR_SSL_(?:SSLV3|SSL\/TLS|TLSV1|TLSV13)_ALERT_(HANDSHAKE_FAILURE|BAD_CERTIFICATE|UNSUPPORTED_CERTIFICATE|CERTIFICATE_REVOKED|CERTIFICATE_EXPIRED|CERTIFICATE_UNKNOWN|UNKNOWN_CA|ACCESS_DENIED|CERTIFICATE_REQUIRED)$/;

const NO_TLS = /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|RECORD_LAYER_FAILURE)$/;

const TLS_PORT = "Give the port at which the broker speaks TLS, 8883 if not said; mqtt:// is without TLS.";

/** Where a broker closes at once, its alert may have been lost. */
function nextStep({ url, certificate }: Place, cause: unknown): string {
  const isClosed = isReset(cause) || reasonOf(cause) === CLOSED;
  if (url.protocol !== "mqtts:" || !isClosed) return OTHERWISE;
  return certificate === undefined
    ? `If it wants a certificate of this end: --mqtt-cert FILE --mqtt-key FILE. ${OTHERWISE}`
    : `${SEE_CERTIFICATE} ${OTHERWISE}`;
}

/** Whether the other end has closed a connection without waiting for ours. */
export function isReset(cause: unknown): boolean {
  return /^(?:ECONNRESET|EPIPE)$/.test(codeOf(cause));
}

const SEE_CERTIFICATE =
  "See who issued the certificate and until when it is valid: openssl x509 -in FILE -noout -issuer -dates.";

/** Why, where a broker says nothing. */
export const CLOSED = "it has closed the connection";

/** Why, where a broker does not grant a topic. */
export const NOT_SUBSCRIBED = "the broker refuses the subscription";

/** What a broker that answers refuses, in words that name neither it nor anybody; undefined: nothing, as far as is known. */
export function refusedBy(error: unknown): "the login" | "the subscription" | undefined {
  const cause = error instanceof UnavailableError ? error.cause : undefined;
  if (!(cause instanceof Error)) return undefined;
  if (cause.message === NOT_SUBSCRIBED) return "the subscription";
  return CONNACK_REFUSALS.has(codeOf(cause)) ? "the login" : undefined;
}

/** A wrong user name or password, and no authorization (MQTT 3.1.1 section 3.2.2.3). */
const CONNACK_REFUSALS: ReadonlySet<string> = new Set(["4", "5"]);

const OTHERWISE =
  "Until it can, the WebSocket to the directory serves. Check --mqtt, the broker's log and its access list.";

function codeOf(cause: unknown): string {
  return cause instanceof Error && "code" in cause ? String(cause.code) : "";
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error) || cause.message === "") return String(cause);
  const { reason } = cause as { readonly reason?: unknown }; // OpenSSL's, without its numbers
  return codeOf(cause).startsWith("ERR_SSL_") && typeof reason === "string" ? reason : cause.message;
}
