import { Socket } from "node:net";
import type { Readable } from "node:stream";

/**
 * Reads what ssh says ahead of the session, because the end of it tells that ssh has gone and nobody waits for the session
 * any more. The function returned stops that and puts back what was read. A terminal or a file ends for other reasons.
 */
export function readAhead(input: Readable, onGone: () => void): () => void {
  if (!(input instanceof Socket)) return () => {};
  const held: Uint8Array[] = [];
  let bytes = 0;
  const onData = (chunk: Uint8Array): void => {
    held.push(chunk);
    bytes += chunk.length;
    if (bytes > READ_AHEAD_BYTES) input.pause();
  };
  input.on("data", onData).once("end", onGone).once("error", onGone);
  return () => {
    input.off("data", onData).off("end", onGone).off("error", onGone).pause();
    if (!input.readableEnded) for (const chunk of held.toReversed()) input.unshift(chunk);
  };
}

/** ssh says its version, and at most its KEXINIT, before it has heard the server. */
const READ_AHEAD_BYTES = 64 * 1024;
