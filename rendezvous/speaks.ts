import type { Duplex } from "node:stream";

/**
 * Whether something comes on a paused stream before it ends. What comes is still to be read, and the stream is paused again.
 * @throws the signal's reason.
 */
export function speaks(stream: Duplex, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const settle = (finish: () => void): void => {
      stream.off("data", onData).off("end", onEnd).off("close", onEnd).pause();
      signal.removeEventListener("abort", onAbort);
      finish();
    };
    const onAbort = (): void => settle(() => reject(signal.reason));
    const onData = (chunk: Uint8Array): void => {
      settle(() => resolve(true));
      stream.unshift(chunk);
    };
    const onEnd = (): void => settle(() => resolve(false));
    signal.addEventListener("abort", onAbort);
    stream.on("data", onData).on("end", onEnd).on("close", onEnd);
    if (signal.aborted) onAbort();
    else if (stream.closed || stream.readableEnded) onEnd();
    else stream.resume();
  });
}
