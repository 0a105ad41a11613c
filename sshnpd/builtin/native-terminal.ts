import { writeSync } from "node:fs";
import { constants } from "node:os";
import { Writable } from "node:stream";
import { ReadStream } from "node:tty";
import { requireBinary } from "@lydell/node-pty/requireBinary.js";
import { type ProcessEnd, type Running, signalGroup, type WindowSize } from "./running.ts";

const binary = requireBinary("pty.node");

/** Runs a program behind a terminal. @throws {Error} when there is none left. */
export function runNative(
  [file = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
  { columns, rows }: WindowSize,
): Running {
  let onExit: (end: ProcessEnd) => void = () => {};
  const exited = new Promise<ProcessEnd>((resolve) => (onExit = resolve));
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const { fd, pid } = binary.fork(file, args, variables, "/", columns, rows, -1, -1, true, "", (status, signal) =>
    onExit(signal === 0 ? { status } : { signal: signalName(signal) }),
  );
  const output = new ReadStream(fd);
  output.on("error", () => {}); // EIO, which is how a terminal says that nobody writes to it any more
  output.pause();
  let hasExited = false;
  let isOpen = true;
  const input = new TerminalInput(fd, () => isOpen);
  output.once("close", () => {
    isOpen = false;
    input.destroy();
  });
  void exited.then(() => (hasExited = true));
  return {
    pid,
    input,
    output,
    errors: undefined,
    exited,
    signal: (name) => {
      if (!hasExited) signalGroup(pid, name);
    },
    hangUp: () => {
      isOpen = false;
      input.destroy();
      output.destroy(); // at which the kernel sends SIGHUP
      if (!hasExited) signalGroup(pid, "SIGHUP");
    },
    resize: (size) => {
      if (isOpen) binary.resize(fd, size.columns, size.rows);
    },
  };
}

/** Between two tries at a terminal that takes no more input: what reads from it is busy. */
const RETRY_MS = 20;

/**
 * What is typed. Node's own stream for terminals would wait within the write when nobody reads, and all of the daemon
 * with it. Written at once or not at all, so that no write is under way when the descriptor is closed.
 */
class TerminalInput extends Writable {
  readonly #fd: number;
  readonly #isOpen: () => boolean;
  #timer: NodeJS.Timeout | undefined;

  constructor(fd: number, isOpen: () => boolean) {
    super({ highWaterMark: 64 * 1024 });
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
        if (isFull) this.#timer = setTimeout(write, RETRY_MS);
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
