import { Duplex } from "node:stream";
import { concat } from "../keys/bytes.ts";
import { EARLY_DATA_BYTES } from "../protocol/limits.ts";

type Done = (error?: Error | null) => void;

/**
 * The bytes of one leg, as an end sees them. Until the rendezvous has joined it, what is written goes ahead as early
 * data and is kept, since another rendezvous, or the same one after a restart, may need to be told again; what is more
 * than EARLY_DATA_BYTES waits. Afterwards it only passes bytes through.
 */
export class LegStream extends Duplex {
  #socket: Duplex | undefined;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #isJoined = false;
  #hasEnded = false;
  /** What waits for the leg to be joined. */
  #proceed: (() => void) | undefined;

  constructor() {
    super({ allowHalfOpen: true });
    this.on("error", ignore); // Leg.joined rejects, or the close tells
  }

  /** Goes on with a new socket: the hello, then all that was written so far. Nothing is read from it here. */
  start(socket: Duplex, hello: Uint8Array): void {
    this.#socket?.destroy();
    this.#socket = socket;
    socket.write(concat(hello, ...this.#early));
    if (this.#hasEnded) socket.end();
  }

  /** The rendezvous has joined the leg. `first`: bytes of the peer that were read already; then the socket was paused. */
  join(first: Uint8Array): void {
    const socket = this.#socket;
    if (socket === undefined || this.destroyed) return;
    this.#isJoined = true;
    this.#early = [];
    if (first.length > 0) this.push(first);
    socket.on("data", (chunk: Uint8Array) => {
      if (!this.push(chunk)) socket.pause();
    });
    socket.on("end", () => this.push(null));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.#closed(socket));
    socket.resume();
    this.#proceed?.();
    this.#proceed = undefined;
  }

  override _read(): void {
    if (this.#isJoined) this.#socket?.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: Done): void {
    if (this.#isJoined) this.#forward(chunk, done);
    else this.#writeEarly(chunk, done);
  }

  override _writev(chunks: readonly { readonly chunk: Uint8Array }[], done: Done): void {
    if (!this.#isJoined) return this.#writeEarly(concat(...chunks.map(({ chunk }) => chunk)), done);
    const last = chunks.length - 1;
    this.#socket?.cork();
    for (const [i, { chunk }] of chunks.entries()) {
      if (i < last) this.#socket?.write(chunk);
      else this.#forward(chunk, done);
    }
    this.#socket?.uncork();
  }

  override _final(done: Done): void {
    this.#hasEnded = true;
    this.#socket?.end();
    const whenFlushed = (): void => {
      if (this.#socket?.writableFinished === true) done();
      else this.#socket?.once("finish", () => done());
    };
    if (this.#isJoined) whenFlushed();
    else this.#proceed = whenFlushed;
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#socket?.destroy();
    done(error);
  }

  #forward(chunk: Uint8Array, done: Done): void {
    if (this.#socket?.write(chunk) === true) done();
    else this.#socket?.once("drain", done);
  }

  #writeEarly(chunk: Uint8Array, done: Done): void {
    const early = chunk.slice(0, EARLY_DATA_BYTES - this.#earlyBytes);
    if (early.length > 0) {
      this.#early.push(early);
      this.#earlyBytes += early.length;
      this.#socket?.write(early);
    }
    if (early.length === chunk.length) done();
    else this.#proceed = () => this.#forward(chunk.subarray(early.length), done);
  }

  /** Without an end before it this is a failure. What came before the end is still to be read. */
  #closed(socket: Duplex): void {
    if (this.destroyed) return;
    if (!socket.readableEnded) this.destroy(new Error("the leg was cut"));
    else if (this.readableEnded) this.destroy();
    else this.once("end", () => this.destroy());
  }
}

function ignore(): void {}
