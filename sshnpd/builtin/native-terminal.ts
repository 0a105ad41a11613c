import { readSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { Readable, Writable } from "node:stream";
import { ReadStream } from "node:tty";
import { requireBinary } from "@lydell/node-pty/requireBinary.js";
import { TERMINAL_INPUT_BYTES, TERMINAL_READ_BYTES, TERMINAL_RETRY_MS } from "../../protocol/limits.ts";
import { type ProcessEnd, type Running, signalGroup, type WindowSize } from "./running.ts";

const binary = requireBinary("pty.node");

/**
 * Runs a program behind a terminal, which whatever this process starts later has open as well; so it is to start no more.
 * @throws {Error} when there is none left.
 */
export function runNative(
  [file = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
  { columns, rows }: WindowSize,
): Pick<Running, "input" | "output" | "exited" | "signal" | "resize"> {
  let onExit: (end: ProcessEnd) => void = () => {};
  const exited = new Promise<ProcessEnd>((resolve) => (onExit = resolve));
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const { fd, pid } = binary.fork(file, args, variables, "/", columns, rows, -1, -1, true, "", (status, signal) =>
    onExit(signal === 0 ? { status } : { signal: signalName(signal) }),
  );
  let hasExited = false;
  let isOpen = true;
  const input = new TerminalInput(fd, () => isOpen);
  const output = new TerminalOutput(fd, () => {
    isOpen = false;
    input.destroy();
  });
  void exited.then(() => (hasExited = true));
  return {
    input,
    output,
    exited,
    signal: (name) => {
      if (!hasExited) signalGroup(pid, name);
    },
    resize: (size) => {
      if (!isOpen) return;
      try {
        binary.resize(fd, size.columns, size.rows);
      } catch {
        // EBADF: the program has ended, and the terminal is being closed
      }
    },
  };
}

/**
 * What is printed, to its last byte. Two things would lose some of it. A stream of Node's over a terminal forgets what it
 * holds when the terminal ends, for that is an error (EIO); so it is to hold nothing, and what is read goes here. And
 * libuv takes a hang-up for the end as soon as a read does not fill its buffer, though a terminal never fills it; so the
 * rest is read by hand.
 */
class TerminalOutput extends Readable {
  readonly #fd: number;
  readonly #terminal: ReadStream;

  constructor(fd: number, onClose: () => void) {
    super({ highWaterMark: TERMINAL_READ_BYTES });
    this.#fd = fd;
    const buffer = Buffer.alloc(TERMINAL_READ_BYTES);
    const callback = (length: number): boolean => this.push(Buffer.from(buffer.subarray(0, length)));
    // Half open, so that the descriptor is there for the rest.
    const options = { onread: { buffer, callback }, allowHalfOpen: true };
    this.#terminal = new ReadStream(fd, options);
    this.#terminal.pause();
    this.#terminal.on("error", () => {}); // it ends all the same
    this.#terminal.once("end", () => this.#readRest(buffer));
    this.#terminal.once("close", () => {
      onClose();
      this.push(null);
    });
  }

  override _read(): void {
    this.#terminal.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#terminal.closed) return done(error);
    this.#terminal.once("close", () => done(error));
    this.#terminal.destroy();
  }

  /** What the kernel still holds of a terminal that nobody else has open: 64 KiB at most. */
  #readRest(buffer: Buffer): void {
    try {
      for (let length = -1; length !== 0; ) {
        length = readSync(this.#fd, buffer);
        if (length > 0) this.push(Buffer.from(buffer.subarray(0, length)));
      }
    } catch {
      // EIO, which says that this was all
    }
    this.#terminal.destroy();
  }
}

/**
 * What is typed. Node's own stream for terminals would wait within the write when nobody reads, and all of the daemon
 * with it. Written at once or not at all, so that no write is under way when the descriptor is closed.
 */
class TerminalInput extends Writable {
  readonly #fd: number;
  readonly #isOpen: () => boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(fd: number, isOpen: () => boolean) {
    super({ highWaterMark: TERMINAL_INPUT_BYTES });
    this.#fd = fd;
    this.#isOpen = isOpen;
  }

  override _write(bytes: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    let rest = bytes;
    const write = (): void => {
      try {
        while (rest.length > 0) {
          if (!this.#isOpen()) return done();
          rest = rest.subarray(writeSync(this.#fd, rest));
        }
        done();
      } catch (error) {
        const isFull = error instanceof Error && "code" in error && error.code === "EAGAIN";
        if (isFull) this.#timer = setTimeout(write, TERMINAL_RETRY_MS);
        else done(); // there is nobody to type for
      }
    };
    write();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer);
    done(error);
  }
}

function signalName(number: number): string {
  const found = Object.entries(constants.signals).find(([, value]) => value === number);
  return found?.[0].slice(3) ?? "KILL";
}
