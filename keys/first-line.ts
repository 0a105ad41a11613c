import { constants, createReadStream, fstatSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { addAbortSignal, type Readable } from "node:stream";
import { concat, utf8Text } from "./bytes.ts";
import { SetupError } from "./errors.ts";
import { shellWord } from "./shell-word.ts";

interface Waiting {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The first line of a stream without its end; what follows is not waited for. `what` names the stream in errors.
 * @throws {SetupError} E_STORAGE when it cannot be read, or the line is no UTF-8 or longer than 4 KiB. The signal's
 * reason when it is aborted.
 */
export async function firstLine(input: Readable, what: string, { signal }: Waiting = {}): Promise<string> {
  const parts: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of signal === undefined ? input : addAbortSignal(signal, input)) {
      if (!(chunk instanceof Uint8Array)) throw new TypeError("a stream of bytes was expected");
      const end = chunk.indexOf(LINE_FEED);
      const part = end < 0 ? chunk : chunk.subarray(0, end);
      length += part.length;
      if (length > MAX_LINE_BYTES) throw new RangeError("the line is too long");
      parts.push(part);
      if (end >= 0) break;
    }
    return utf8Text(concat(...parts)).replace(/\r$/, "");
  } catch (cause) {
    signal?.throwIfAborted();
    throw new SetupError("E_STORAGE", `Cannot read a line of text from ${what}${systemReason(cause)}.`, {
      next: "It should begin with one line of at most 4,096 bytes, readable by you.",
      cause,
    });
  }
}

/** The first line of a file or named pipe. Throws as {@link firstLine}. */
export async function firstLineOfFile(path: string, waiting: Waiting = {}): Promise<string> {
  let stream: Readable;
  try {
    // A read of a pipe that nobody writes to would hold a thread, and with it the end of the process.
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    stream = fstatSync(descriptor).isFIFO()
      ? new Socket({ fd: descriptor, readable: true, writable: false })
      : createReadStream(path, { fd: descriptor, highWaterMark: MAX_LINE_BYTES });
  } catch (cause) {
    throw new SetupError("E_STORAGE", `Cannot read ${shellWord(path)}${systemReason(cause)}.`, {
      next: "Check its path and mode.",
      cause,
    });
  }
  return await firstLine(stream, shellWord(path), waiting);
}

const LINE_FEED = 0x0a;
/** Far more than a secret or a passphrase has, so that /dev/zero is no way to fill the memory. */
const MAX_LINE_BYTES = 4096;

function systemReason(cause: unknown): string {
  return cause instanceof Error && "syscall" in cause && "code" in cause ? ` (${String(cause.code)})` : "";
}
