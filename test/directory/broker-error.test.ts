import { expect, test } from "vitest";
import { brokerError, NoTlsSeenError } from "../../directory/client/broker-error.ts";

const URLS = { tls: new URL("mqtts://broker.example:8883"), plain: new URL("mqtt://broker.example") };
const CERTIFICATE = { url: URLS.tls, certificate: { cert: "...", key: "..." } };
const NONE = { url: URLS.tls };
const WITH_CA = { url: URLS.tls, ca: "..." };

const PORT = "Give the port at which the broker speaks TLS, 8883 if not said; mqtt:// is without TLS.";
const WEB_SOCKET =
  "Until it can, the WebSocket to the directory serves. Check --mqtt, the broker's log and its access list.";
const DATES = "See who issued the certificate and until when it is valid: openssl x509 -in FILE -noout -issuer -dates.";
const refused = (why: string): string => `it does not take the certificate of --mqtt-cert (${why})`;

// What Node gives as `code` and OpenSSL as `reason`: "sslv3 alert ..." up to OpenSSL 3.1, "ssl/tls alert ..." from 3.2 on.
test.each([
  [CERTIFICATE, "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED", refused("certificate expired"), DATES],
  [CERTIFICATE, "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", refused("certificate expired"), DATES],
  [CERTIFICATE, "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE", refused("bad certificate"), DATES],
  [CERTIFICATE, "ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE", refused("bad certificate"), DATES],
  [CERTIFICATE, "ERR_SSL_SSL/TLS_ALERT_UNSUPPORTED_CERTIFICATE", refused("unsupported certificate"), DATES],
  [CERTIFICATE, "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_REVOKED", refused("certificate revoked"), DATES],
  [CERTIFICATE, "ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN", refused("certificate unknown"), DATES],
  [CERTIFICATE, "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE", refused("handshake failure"), DATES],
  [CERTIFICATE, "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", refused("unknown ca"), DATES],
  [CERTIFICATE, "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED", refused("access denied"), DATES],
  [
    NONE,
    "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
    "it wants a certificate of this end, and none is given",
    "--mqtt-cert FILE",
  ],
  [
    NONE,
    "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE",
    "it wants a certificate of this end, and none is given",
    "--mqtt-cert FILE",
  ],
  [
    NONE,
    "ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE",
    "it wants a certificate of this end, and none is given",
    "--mqtt-cert FILE",
  ],
  [NONE, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION", "its reason", WEB_SOCKET],
  [CERTIFICATE, "ERR_SSL_WRONG_VERSION_NUMBER", "what answers at that port does not speak TLS", PORT],
  [CERTIFICATE, "ERR_SSL_PACKET_LENGTH_TOO_LONG", "what answers at that port does not speak TLS", PORT],
  [CERTIFICATE, "ERR_SSL_RECORD_LAYER_FAILURE", "what answers at that port does not speak TLS", PORT],
  [
    NONE,
    "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    "whoever vouches for its certificate is not known here (its message)",
    "--mqtt-ca FILE (PEM)",
  ],
  [
    WITH_CA,
    "SELF_SIGNED_CERT_IN_CHAIN",
    "whoever vouches for its certificate is not known here (its message)",
    "--mqtt-ca names another",
  ],
  [
    NONE,
    "ERR_TLS_CERT_ALTNAME_INVALID",
    "its certificate is for another host than broker.example",
    "Name it in --mqtt",
  ],
  [NONE, "CERT_HAS_EXPIRED", "its certificate has expired by this machine's clock", "Renew it at the broker"],
  [NONE, "CERT_NOT_YET_VALID", "its certificate is not valid yet by this machine's clock", "set this machine's clock"],
  [CERTIFICATE, "ECONNRESET", "its message", DATES],
  [NONE, "ECONNRESET", "its message", "If it wants a certificate of this end: --mqtt-cert FILE"],
  [{ url: URLS.plain }, "ECONNRESET", "its message", WEB_SOCKET],
  [NONE, "ECONNREFUSED", "its message", WEB_SOCKET],
] as const)("%j: %s is told as `%s`", (place, code, why, next) => {
  const cause = Object.assign(new Error("its message"), { code, reason: "its reason" });
  const { message, next: told } = brokerError(place, cause);
  expect(message).toContain(place.url.host);
  expect(message).toContain(why);
  expect(told).toContain(next);
  expect(told?.includes(PORT)).toBe(next === PORT);
});

test.each([NONE, CERTIFICATE])("%j: where no TLS was ever seen, the port is named and no certificate", (place) => {
  const { message, next } = brokerError(place, new NoTlsSeenError());
  expect(message).toContain("it has closed the connection without a word of TLS");
  expect(next).toBe(`${PORT} ${WEB_SOCKET}`);
});
