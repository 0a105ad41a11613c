import type { Duplex } from "node:stream";
import { BUILTIN_UNSENT_BYTES } from "../../protocol/limits.ts";
import { type ServerChannel, stateOf } from "./ssh2.ts";

/**
 * Copies to a client no more than it takes: within the window of its channel, and as long as the bytes leave this machine.
 *
 * ssh2 has a queue of its own for either, with two faults: what waits for a window is sent twice when both output and errors
 * wait, and what waits for the socket is not bounded. So here it is never given more than it can send at once.
 */
export class ChannelOutput {
  readonly #channel: ServerChannel;
  readonly #transport: Duplex;
  readonly #waiting = new Set<() => void>();
  #isClosed = false;
  /** Grows with whatever is taken from a source or by the client. */
  progress = 0;

  constructor(channel: ServerChannel, transport: Duplex) {
    this.#channel = channel;
    this.#transport = transport;
  }

  /** True while the client takes nothing. */
  get isBlocked(): boolean {
    return this.#waiting.size > 0;
  }

  /** Copies a source to its end, or until the channel is closed. */
  async copy(source: AsyncIterable<unknown>, kind: "output" | "errors"): Promise<void> {
    const stream = kind === "output" ? this.#channel : this.#channel.stderr;
    try {
      for await (const chunk of source) {
        const bytes = chunk as Uint8Array;
        this.progress++;
        await this.#write(bytes, (part) => stream.write(part));
        if (this.#isClosed) break;
      }
    } catch {
      // Its process is gone, or the terminal is: EIO. That it ended otherwise than well is told by its status.
    }
  }

  /** To be called when the channel is closed: whoever waits goes on, to nothing. */
  close(): void {
    this.#isClosed = true;
    this.#wake();
  }

  async #write(bytes: Uint8Array, send: (part: Uint8Array) => void): Promise<void> {
    const { outgoing } = stateOf(this.#channel);
    for (let rest = bytes; rest.length > 0 && !this.#isClosed && outgoing.state === "open"; ) {
      if (outgoing.window <= 0 || this.#transport.writableLength > BUILTIN_UNSENT_BYTES) {
        await this.#wait();
        continue;
      }
      const part = rest.subarray(0, outgoing.window);
      rest = rest.subarray(part.length);
      send(part);
    }
  }

  /** Until the client takes more again; it may be woken without, so whoever waits looks again. */
  async #wait(): Promise<void> {
    const state = stateOf(this.#channel);
    await new Promise<void>((resolve) => {
      this.#waiting.add(resolve);
      if (state.outgoing.window <= 0) {
        state._waitWindow = true;
        state._chunkcb = () => this.#wake();
      } else {
        this.#transport.once("drain", () => this.#wake());
      }
    });
  }

  #wake(): void {
    this.progress++;
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}
