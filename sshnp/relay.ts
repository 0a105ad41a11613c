import { once } from "node:events";
import { connect, Socket } from "node:net";
import { finished } from "node:stream/promises";

/** Standard input and output as sockets: Node's own process.stdout blocks on a pipe whose reader is slow. */
export function standardStreams(): { readonly from: Socket; readonly to: Socket } {
  return {
    from: new Socket({ fd: 0, readable: true, writable: false }),
    to: new Socket({ fd: 1, readable: false, writable: true }),
  };
}

/**
 * Joins standard input and output to the front process that waits at `path`, and resolves when all is copied; false
 * when nobody waits there (any more).
 */
export async function relayToFront(path: string): Promise<boolean> {
  const front = connect({ path, allowHalfOpen: true });
  try {
    await once(front, "connect");
  } catch {
    return false;
  }
  const { from, to } = standardStreams();
  from.pipe(front);
  front.pipe(to);
  // ssh needs no reason when its proxy ends; the front process tells people.
  await Promise.allSettled([finished(front, { writable: false }), finished(to, { readable: false })]);
  return true;
}
