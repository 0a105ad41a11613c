import { PeerError } from "../../keys/errors.ts";
import { PROXY_HEAD_BYTES } from "../../protocol/limits.ts";

/** What a proxy says to CONNECT (RFC 9110 section 9.3.6). */
export interface ProxyAnswer {
  /** 200 to 599. */
  readonly status: number;
  /** The authentication schemes that it offers, as it spells them, each a token of RFC 9110. */
  readonly schemes: readonly string[];
  /** Bytes of the whole head. */
  readonly length: number;
}

/**
 * The head of a proxy's answer; undefined while it is not whole. @throws {PeerError} E_PROTOCOL when it is none, or longer than
 * PROXY_HEAD_BYTES.
 */
export function parseProxyAnswer(bytes: Uint8Array): ProxyAnswer | undefined {
  const head = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, PROXY_HEAD_BYTES)).toString("latin1");
  if (!BEGINNING.startsWith(head.slice(0, BEGINNING.length))) throw new PeerError("E_PROTOCOL", "no answer of a proxy");
  const end = /\r?\n\r?\n/.exec(head);
  if (end === null) {
    if (bytes.length < PROXY_HEAD_BYTES) return undefined;
    throw new PeerError("E_PROTOCOL", "the head of a proxy's answer is too long");
  }
  const [first = "", ...fields] = head.slice(0, end.index).split(/\r?\n/);
  const status = Number(/^HTTP\/1\.[01] ([2-5][0-9]{2})(?: |$)/.exec(first)?.[1]);
  if (Number.isNaN(status)) throw new PeerError("E_PROTOCOL", "no answer of a proxy");
  return { status, schemes: [...new Set(fields.flatMap(schemesOf))], length: end.index + end[0].length };
}

const BEGINNING = "HTTP/1.";

/** Of a Proxy-Authenticate field, which may have several challenges with their parameters. */
function schemesOf(field: string): string[] {
  const [, value] = /^proxy-authenticate:(.*)$/i.exec(field) ?? [];
  if (value === undefined) return [];
  return value
    .replace(/"(?:[^"\\]|\\.)*"?/g, "")
    .split(",")
    .flatMap((part) => /^\s*([A-Za-z][A-Za-z0-9-]{0,31})(?:\s|$)/.exec(part)?.[1] ?? []);
}
