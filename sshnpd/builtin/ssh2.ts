import "./terminal-mode-names.ts";
import ssh2, { type Connection, type ServerChannel, type Session } from "ssh2";
import { BUILTIN_LEAST_PACKET_BYTES } from "../../protocol/limits.ts";

export const { Server, utils } = ssh2;

/** What a channel of ssh2's server keeps of its two directions. */
interface ChannelState {
  readonly incoming: { readonly window: number };
  readonly outgoing: { readonly window: number; readonly packetSize: number; readonly state: string };
  /** Says that the client's next window is waited for; then `_chunkcb` is called. */
  _waitWindow: boolean;
  _chunkcb: (() => void) | undefined;
  push(chunk: unknown): boolean;
}

export function stateOf(channel: ServerChannel): ChannelState {
  return channel as unknown as ChannelState;
}

/**
 * Ends a connection whose client sends more on a channel than it was given window for: ssh2 would keep it all. And one that
 * takes no packets: ssh2 would try forever to send it nothing.
 */
export function guardChannel(channel: ServerChannel, breakOff: (why: string) => void): void {
  const state = stateOf(channel);
  if (state.outgoing.packetSize < BUILTIN_LEAST_PACKET_BYTES) return breakOff("takes packets that are too small");
  const push = state.push.bind(channel);
  state.push = (chunk) => {
    if (state.incoming.window >= 0) return push(chunk);
    breakOff("sends more than its window");
    return false;
  };
}

export type { Connection, ServerChannel, Session };
