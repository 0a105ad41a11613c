import type { Duplex } from "node:stream";
import { concat } from "../keys/bytes.ts";
import { type LegStatus, parseLegStatus } from "../protocol/leg-hello.ts";

export type LegAnswer =
  /** `first`: bytes of the peer that came along. */
  | { readonly status: "joined"; readonly first: Uint8Array }
  | { readonly status: "boot"; readonly boot: Uint8Array }
  | { readonly status: Exclude<LegStatus, "joined" | "boot"> }
  /** The rendezvous closed without a word. */
  | { readonly status: "closed" };

/**
 * Reads what a rendezvous says to a hello, and no more; then the stream is paused.
 * @throws {PeerError} E_PROTOCOL when it says what no rendezvous says; the signal's reason when it is aborted.
 */
export function readLegAnswer(stream: Duplex, signal: AbortSignal): Promise<LegAnswer> {
  return new Promise((resolve, reject) => {
    let bytes: Uint8Array = new Uint8Array(0);
    const settle = (finish: () => void): void => {
      stream.off("data", onData).off("end", onEnd).off("close", onEnd).pause();
      signal.removeEventListener("abort", onAbort);
      finish();
    };
    const onAbort = (): void => settle(() => reject(signal.reason));
    const onEnd = (): void => settle(() => resolve({ status: "closed" }));
    const onData = (chunk: Uint8Array): void => {
      bytes = concat(bytes, chunk);
      try {
        const answer = parse(bytes);
        if (answer !== undefined) settle(() => resolve(answer));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    signal.addEventListener("abort", onAbort);
    stream.on("data", onData).on("end", onEnd).on("close", onEnd);
    if (signal.aborted) onAbort();
    else if (stream.closed) onEnd();
  });
}

function parse(bytes: Uint8Array): LegAnswer | undefined {
  const [byte] = bytes;
  if (byte === undefined) return undefined;
  const status = parseLegStatus(byte);
  if (status === "joined") return { status, first: bytes.subarray(1) };
  if (status !== "boot") return { status };
  return bytes.length < 1 + BOOT_BYTES ? undefined : { status, boot: bytes.slice(1, 1 + BOOT_BYTES) };
}

const BOOT_BYTES = 16;
