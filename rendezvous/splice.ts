import type { Duplex } from "node:stream";
import { concat } from "../keys/bytes.ts";
import { LINGER_MS } from "../protocol/limits.ts";
import type { Stall, Stalls } from "./stalls.ts";

export interface SpliceSide {
  readonly stream: Duplex;
  /** What was read from it before it was joined. */
  readonly early: readonly Uint8Array[];
}

/** What has gone one way. */
export interface Carried {
  readonly bytes: number;
  /** The first of them, as many as were asked for. */
  readonly excerpt: Uint8Array;
}

export interface SpliceReport {
  readonly fromClient: Carried;
  readonly fromDevice: Carried;
}

export interface SpliceOptions {
  /** How many bytes of each direction to keep for the report. */
  readonly excerptBytes: number;
  /** Told which directions wait for their reader. */
  readonly stalls: Pick<Stalls, "add" | "delete">;
  /** Called once, when both sockets are closed. */
  readonly onEnd: (report: SpliceReport) => void;
}

/**
 * Carries the bytes of each side to the other until both have closed. A side that reads slowly slows the other down;
 * one that has said all it has to say may go on listening. When one is gone, the other gets what was on its way to it
 * and is destroyed.
 *
 * Holds at most SPLICE_BYTES when the streams' high-water marks are 64 KiB or less. What it returns counts on until the end.
 */
export function splice(client: SpliceSide, device: SpliceSide, options: SpliceOptions): SpliceReport {
  const fromClient = carry(client, device.stream, options);
  const fromDevice = carry(device, client.stream, options);
  const report = { fromClient, fromDevice };
  let open = 2;
  const onClose = (): void => {
    if (--open === 0) options.onEnd(report);
  };
  endTogether(client.stream, device.stream, onClose);
  endTogether(device.stream, client.stream, onClose);
  return report;
}

/** The hot path of a rendezvous: no copy, no promise, no allocation of its own for each chunk. */
function carry(
  { stream: from, early }: SpliceSide,
  to: Duplex,
  { excerptBytes, stalls }: Pick<SpliceOptions, "excerptBytes" | "stalls">,
): Carried {
  const stall: Stall = { from, to };
  const carried: { bytes: number; excerpt: Uint8Array } = { bytes: 0, excerpt: new Uint8Array(0) };
  const forward = (chunk: Uint8Array): void => {
    carried.bytes += chunk.length;
    const missing = excerptBytes - carried.excerpt.length;
    if (missing > 0) carried.excerpt = concat(carried.excerpt, chunk.subarray(0, missing));
    if (to.write(chunk)) return;
    from.pause();
    stalls.add(stall);
  };
  for (const chunk of early) forward(chunk);
  from.on("data", forward);
  to.on("drain", () => {
    stalls.delete(stall);
    from.resume();
  });
  to.on("close", () => stalls.delete(stall));
  if (from.readableEnded) to.end();
  else from.on("end", () => to.end());
  return carried;
}

function endTogether(stream: Duplex, other: Duplex, onClose: () => void): void {
  stream.on("error", ignore); // its close follows
  const closed = (): void => {
    onClose();
    if (other.destroyed) return;
    const linger = setTimeout(() => other.destroy(), LINGER_MS).unref();
    other.on("close", () => clearTimeout(linger));
    if (other.writableFinished) other.destroy();
    else other.on("finish", () => other.destroy()).end();
  };
  if (stream.closed) closed();
  else stream.on("close", closed);
}

function ignore(): void {}
