import type { Socket } from "node:net";
import type { ChannelStream } from "../../protocol/channel/stream-adapter.ts";

/**
 * Copies both ways between a local connection and a stream, each direction to its end, as fast as the slower side reads. A
 * side that breaks off breaks the other: a local program is told so by a RST, lest it takes what it has for all there is.
 * Resolves when both are closed and nothing is left; never rejects.
 */
export async function join(local: Socket, stream: ChannelStream): Promise<void> {
  const closed = Promise.all([closeOf(local), closeOf(stream)]);
  local.on("error", (error) => {
    if (local.readableEnded) {
      // It has said all and is gone: what the device still sends has no reader.
      stream.unpipe(local);
      stream.resume();
    } else {
      stream.destroy(error);
    }
  });
  stream.once("close", () => {
    if (!stream.readableEnded || !stream.writableFinished) breakOff(local);
  });
  local.once("close", () => {
    if (!local.readableEnded) stream.destroy();
  });
  if (local.destroyed) stream.destroy();
  if (stream.destroyed) breakOff(local);
  local.pipe(stream).pipe(local);
  await closed;
}

/** Closes a local connection so that its program sees it broken and not ended, where the kind of connection has a way to say so. */
export function breakOff(local: Socket): void {
  if (local.destroyed) return;
  if (local.remoteFamily === undefined) local.destroy();
  else local.resetAndDestroy();
}

async function closeOf(stream: Socket | ChannelStream): Promise<void> {
  if (stream.closed) return;
  await new Promise<void>((resolve) => stream.once("close", () => resolve()));
}
