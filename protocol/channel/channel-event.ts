import type { PeerError } from "../../keys/errors.ts";
import type { BreakCode, CloseCode } from "./end-codes.ts";

/** What happened, in order. After `closed`, `truncated` or `failed` nothing follows. */
export type ChannelEvent =
  /** The peer proved that it holds the keys. */
  | { readonly type: "confirmed" }
  /** The peer asks for a stream (device only): accept or reset it. */
  | { readonly type: "open-requested"; readonly stream: number; readonly service: string }
  /** The peer accepted a stream of ours. */
  | { readonly type: "opened"; readonly stream: number }
  /** Bytes of the peer; report them consumed when they need no more room. */
  | { readonly type: "data"; readonly stream: number; readonly bytes: Uint8Array }
  /** More may be sent than before. */
  | { readonly type: "window-grown"; readonly stream: number }
  /** The peer sends no more on this stream; it may still receive. */
  | { readonly type: "ended"; readonly stream: number }
  /** The peer broke the stream off. */
  | { readonly type: "reset"; readonly stream: number; readonly code: BreakCode }
  | { readonly type: "pong"; readonly roundTripMs: number }
  /** The peer closed the channel in good order. */
  | { readonly type: "closed"; readonly code: CloseCode }
  /** The bytes ended without CLOSE. */
  | { readonly type: "truncated" }
  /** The peer broke the protocol. Nothing behind the fault was read. */
  | { readonly type: "failed"; readonly error: PeerError };
