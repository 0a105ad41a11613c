import { BUILTIN_LEAST_PACKET_BYTES } from "../../protocol/limits.ts";
import { ByteQueue } from "../../protocol/channel/byte-queue.ts";
import type { ChannelContext } from "./connection-context.ts";
import { type ServerChannel, stateOf } from "./ssh2.ts";

/**
 * Holds no more of what a client sends on a channel than its window, small pieces joined: ssh2 would grant 2 MiB to each
 * channel, and keep a buffer for each packet. Ends a connection whose client sends more than it was given window for, which
 * ssh2 would keep all; and one that takes no packets, which ssh2 would try forever to send nothing.
 *
 * To be called as soon as there is a channel, ahead of any data; `connection` must have been through narrowWindows.
 */
export function guardChannel(
  channel: ServerChannel,
  { window, breakOff }: Pick<ChannelContext, "window" | "breakOff">,
): void {
  const state = stateOf(channel);
  const { incoming, outgoing } = state;
  if (outgoing.packetSize < BUILTIN_LEAST_PACKET_BYTES) return breakOff("takes packets that are too small");
  const deliver = state.push.bind(channel);
  const queue = new ByteQueue();
  let held = 0;
  let isWanted = false;
  let end: "open" | "came" | "told" = "open";
  incoming.window = window.bytes + UNTOLD_BYTES;
  state._readableState.highWaterMark = 1; // so that it asks for more when it has nothing, and not before

  const advance = (): void => {
    const bytes = isWanted ? queue.shift() : undefined;
    if (bytes !== undefined) {
      isWanted = false;
      held -= bytes.length;
      deliver(bytes);
    }
    if (end === "open") return grant();
    if (!queue.empty || end === "told") return;
    end = "told";
    deliver(null);
  };
  const grant = (): void => {
    // When it asks, it is about to hand out all it has, which it still counts.
    const unread = isWanted ? 0 : channel.readableLength;
    const kept = incoming.window - UNTOLD_BYTES + held + unread;
    if (kept * 2 > window.bytes || outgoing.state === "closing" || outgoing.state === "closed") return;
    if (queue.empty) window.grow();
    const more = window.bytes - kept;
    incoming.window += more;
    state._client._protocol.channelWindowAdjust(outgoing.id, more);
  };
  state.push = (chunk) => {
    if (incoming.window < UNTOLD_BYTES) {
      breakOff("sends more than its window");
    } else if (chunk === null) {
      if (end === "open") end = "came";
      advance();
    } else {
      queue.push(chunk);
      held += chunk.length;
      advance();
    }
    return false; // so that ssh2 grants nothing itself
  };
  state._read = () => {
    isWanted = true;
    advance();
  };
}

/** Of the window, not told to the client: at exactly 0 ssh2 drops what comes and says nothing. */
const UNTOLD_BYTES = 1;
