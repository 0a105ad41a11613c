/**
 * The server's side of SOCKS5 (RFC 1928), CONNECT without authentication alone. Names are not resolved here.
 *
 * ```
 * greeting   05 | n | n methods                              answer   05 | 00, or 05 | FF when 00 is not among them
 * request    05 | command | 00 | type | address | u16 port   reply    05 | code | 00 | 01 | 4 zero bytes | 2 zero bytes
 * address    type 01: 4 bytes; 03: n | n bytes of a name; 04: 16 bytes
 * ```
 */
import { tcpService } from "./spec.ts";

export type SocksAction =
  | { readonly type: "send"; readonly bytes: Uint8Array }
  /** Somebody wants this service. `rest`: what has come already of what is to be carried to it. */
  | { readonly type: "connect"; readonly service: string; readonly rest: Uint8Array }
  /** Nothing more is to come of this; what was to be sent stands before. */
  | { readonly type: "close" };

/** RFC 1928 section 6. */
const REPLIES = {
  succeeded: 0,
  failed: 1,
  "not-allowed": 2,
  "host-unreachable": 4,
  refused: 5,
  "no-such-command": 7,
  "no-such-address": 8,
} as const;

export type SocksReplyCode = keyof typeof REPLIES;

/** The reply to a request. Where it went out from is nobody's concern, so the address in it is zero. */
export function socksReply(code: SocksReplyCode): Uint8Array {
  return Uint8Array.of(VERSION, REPLIES[code], 0, 1, 0, 0, 0, 0, 0, 0);
}

/**
 * One handshake: bytes of a local program in, actions out. After `connect` or `close` it takes nothing more. It holds no more
 * than one greeting and one request, 520 bytes, whatever comes.
 */
export class SocksHandshake {
  #state: "greeting" | "request" | "over" = "greeting";
  #held = NOTHING;

  /** Takes bytes, cut anywhere. */
  push(chunk: Uint8Array): readonly SocksAction[] {
    const actions: SocksAction[] = [];
    if (this.#state === "over") return actions;
    let bytes = join(this.#held, chunk);
    if (this.#state === "greeting") {
      const end = greetingEnd(bytes);
      if (end === "wrong") return this.#close(actions);
      if (end === undefined || bytes.length < end) return this.#hold(bytes, actions);
      const mayGoOn = bytes.subarray(2, end).includes(NO_AUTHENTICATION);
      actions.push({ type: "send", bytes: Uint8Array.of(VERSION, mayGoOn ? NO_AUTHENTICATION : NO_METHOD) });
      if (!mayGoOn) return this.#close(actions);
      this.#state = "request";
      bytes = bytes.subarray(end);
    }
    const request = readRequest(bytes);
    if (request === undefined) return this.#hold(bytes, actions);
    if (request === "wrong") return this.#close(actions);
    if ("refusal" in request) {
      actions.push({ type: "send", bytes: socksReply(request.refusal) });
      return this.#close(actions);
    }
    this.#state = "over";
    this.#held = NOTHING;
    actions.push({ type: "connect", service: request.service, rest: bytes.subarray(request.end) });
    return actions;
  }

  #hold(bytes: Uint8Array, actions: SocksAction[]): SocksAction[] {
    this.#held = bytes.slice();
    return actions;
  }

  #close(actions: SocksAction[]): SocksAction[] {
    this.#state = "over";
    this.#held = NOTHING;
    actions.push({ type: "close" });
    return actions;
  }
}

const NOTHING = new Uint8Array(0);
const VERSION = 5;
const NO_AUTHENTICATION = 0;
const NO_METHOD = 0xff;
const CONNECT = 1;

/** How long the greeting is; undefined: it is not known yet. */
function greetingEnd(bytes: Uint8Array): number | "wrong" | undefined {
  const [version, methods] = bytes;
  if (version === undefined) return undefined;
  if (version !== VERSION || methods === 0) return "wrong";
  return methods === undefined ? undefined : 2 + methods;
}

type Request = { readonly service: string; readonly end: number } | { readonly refusal: SocksReplyCode };

/** Undefined: it is not whole yet. */
function readRequest(bytes: Uint8Array): Request | "wrong" | undefined {
  const [version, command, reserved, type, length] = bytes;
  if (version === undefined) return undefined;
  if (version !== VERSION) return "wrong";
  if (command === undefined || reserved === undefined || type === undefined) return undefined;
  if (reserved !== 0) return "wrong";
  if (command !== CONNECT) return { refusal: "no-such-command" };
  const size = type === 1 ? 4 : type === 4 ? 16 : type === 3 ? length : "unknown";
  if (size === "unknown") return { refusal: "no-such-address" };
  const start = type === 3 ? 5 : 4;
  if (size === undefined || bytes.length < start + size + 2) return undefined;
  const address = bytes.subarray(start, start + size);
  const end = start + size + 2;
  const port = (bytes[end - 2] ?? 0) * 256 + (bytes[end - 1] ?? 0);
  const service = tcpService(hostOf(type, address), port);
  // A name that nobody can have is one that cannot be reached.
  return service === undefined ? { refusal: "host-unreachable" } : { service, end };
}

function hostOf(type: number, address: Uint8Array): string {
  if (type === 1) return address.join(".");
  if (type === 3) return String.fromCharCode(...address);
  const groups = Array.from({ length: 8 }, (_, at) =>
    ((address[2 * at] ?? 0) * 256 + (address[2 * at + 1] ?? 0)).toString(16),
  );
  return groups.join(":");
}

function join(held: Uint8Array, chunk: Uint8Array): Uint8Array {
  if (held.length === 0) return chunk;
  const both = new Uint8Array(held.length + chunk.length);
  both.set(held);
  both.set(chunk, held.length);
  return both;
}
