import { once } from "node:events";
import { closeSync, createWriteStream, openSync } from "node:fs";
import { connect, Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { tuneHeap } from "./tune-heap.ts";

export interface StandardStreams {
  readonly from: Readable;
  readonly to: Writable;
}

/**
 * Standard input and output; as sockets where they are pipes, for Node's own process.stdout blocks when its reader is slow. The
 * output is closed when it has ended: ssh gives its proxy a pipe, of which nothing else tells it the end.
 */
export function standardStreams(): StandardStreams {
  // Not process.stdout, which no pipe ever ends: nobody could wait for its end.
  const pipe = socketOf(1);
  pipe?.once("finish", () => pipe.destroy()).once("close", closeOutput);
  return {
    from: socketOf(0) ?? process.stdin,
    to: pipe ?? createWriteStream("", { fd: 1, autoClose: false }),
  };
}

/** Node closes all but the standard streams. Their numbers must not become another file's. */
function closeOutput(): void {
  closeSync(1);
  openSync("/dev/null", "r+");
}

/**
 * Joins standard input and output to the front process that waits at `path`, and resolves when all is copied; false
 * when nobody waits there (any more). From the first on a terminal's Ctrl-C and hangup are for ssh and for the front process.
 */
export async function relayToFront(path: string): Promise<boolean> {
  for (const signal of OF_TERMINALS) process.on(signal, ignore);
  const front = connect({ path, allowHalfOpen: true });
  try {
    await once(front, "connect");
  } catch {
    for (const signal of OF_TERMINALS) process.off(signal, ignore);
    return false;
  }
  tuneHeap();
  const { from, to } = standardStreams();
  from.pipe(front);
  front.pipe(to);
  // ssh needs no reason when its proxy ends; the front process tells people. A front that breaks off ends nothing by itself.
  // When ssh is gone, which is no reason to tell anybody of, the front process hears of it by the end of this.
  const copied = finished(to, { readable: false }).catch(() => void front.destroy());
  await finished(front, { writable: false }).catch(() => to.destroy());
  await copied;
  return true;
}

const OF_TERMINALS = ["SIGINT", "SIGHUP"] as const;

function ignore(): void {}

/** Undefined for what is neither pipe nor socket: a terminal, a file. */
function socketOf(fd: 0 | 1): Socket | undefined {
  try {
    return new Socket({ fd, readable: fd === 0, writable: fd === 1 });
  } catch {
    return undefined;
  }
}
