import type { Duplex } from "node:stream";
import { BUILTIN_ARRIVING_REPLY_BYTES, BUILTIN_REPLY_BYTES, BUILTIN_WRITE_BYTES } from "../../protocol/limits.ts";

/**
 * Bounds what waits for a client that reads nothing: ssh2 answers each request at once, also ahead of any login, and each
 * answer is a write of its own, which costs more than its bytes. Who has not logged in is broken off; who has is not read from
 * until it has taken half of it.
 */
export function boundReplies(transport: Duplex, hasLoggedIn: () => boolean, breakOff: (why: string) => void): void {
  const write = transport.write.bind(transport) as (chunk: unknown, done: () => void) => boolean;
  let writes = 0;
  let isHeld = false;
  const waiting = (): number => transport.writableLength + writes * BUILTIN_WRITE_BYTES;
  const onWritten = (): void => {
    writes--;
    if (!isHeld || waiting() > BUILTIN_REPLY_BYTES / 2) return;
    isHeld = false;
    transport.resume();
  };
  transport.write = (chunk: unknown): boolean => {
    writes++;
    const mayGoOn = write(chunk, onWritten);
    if (!hasLoggedIn() && waiting() > BUILTIN_ARRIVING_REPLY_BYTES) breakOff("reads no answers and has not logged in");
    return mayGoOn;
  };
  transport.on("data", () => {
    if (isHeld || waiting() <= BUILTIN_REPLY_BYTES) return;
    isHeld = true;
    transport.pause();
  });
}
