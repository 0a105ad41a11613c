import type { Duplex, Readable, Writable } from "node:stream";
import { finished } from "node:stream/promises";
import { SSH_GONE_MS } from "../protocol/limits.ts";
import type { SshWatch } from "../protocol/ssh-watch.ts";

/**
 * Copies both ways between a stream of the session and ssh, each direction to its end, as fast as the slower side
 * reads. Returns when both directions have ended, as soon as a side breaks, or when the other end has nothing more to say for
 * SSH_GONE_MS after ssh's own end: ssh never goes on after that, not even when it was killed. What is left of ssh's side is then the
 * caller's to close, who may have something to do first.
 */
export async function bridge(
  stream: Duplex,
  ssh: { readonly from: Readable; readonly to: Writable },
  watch: SshWatch,
): Promise<void> {
  stream.on("data", (chunk: Uint8Array) => watch.fromServer(chunk));
  ssh.from.on("data", (chunk: Uint8Array) => watch.fromClient(chunk));
  const ends = [finished(stream), finished(ssh.from, { writable: false }), finished(ssh.to, { readable: false })];
  stream.pipe(ssh.to);
  ssh.from.pipe(stream);
  ssh.from.once("end", () => {
    const patience = setTimeout(() => stream.destroy(), SSH_GONE_MS);
    stream.on("data", () => patience.refresh()).once("close", () => clearTimeout(patience));
  });
  try {
    await Promise.all(ends);
  } catch {
    // Why the stream broke is for the session to tell; ssh needs no reason.
  } finally {
    stream.destroy();
    for (const end of ends) end.catch(() => {});
  }
}
