import { Duplex } from "node:stream";
import { concat } from "../keys/bytes.ts";
import { EARLY_DATA_BYTES } from "../protocol/limits.ts";

type Done = (error?: Error | null) => void;

/**
 * The bytes of one leg, as an end sees them. Until a rendezvous has joined it, what is written goes ahead as early data on each
 * of its sockets and is kept, since another rendezvous, or the same one after a restart, may need to be told again; what is more
 * than EARLY_DATA_BYTES waits. Afterwards it only passes the bytes of one socket through.
 */
export class LegStream extends Duplex {
  readonly #waiting = new Set<Duplex>();
  /** The one that was joined. */
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

  /** Begins a socket beside those there are: the hello, then all that was written so far. Nothing is read from it here. */
  start(socket: Duplex, hello: Uint8Array): void {
    if (this.destroyed) return void socket.destroy();
    this.#waiting.add(socket);
    socket.write(concat(hello, ...this.#early));
    if (this.#hasEnded) socket.end();
  }

  /** Ends a socket that leads nowhere. */
  giveUp(socket: Duplex): void {
    this.#waiting.delete(socket);
    socket.destroy();
  }

  /** The rendezvous has joined the leg by this socket; the others end. `first`: bytes of the peer that were read already; then the socket was paused. */
  join(socket: Duplex, first: Uint8Array): void {
    if (this.destroyed) return;
    this.#waiting.delete(socket);
    this.#endWaiting();
    this.#socket = socket;
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
    for (const socket of this.#waiting) socket.end();
    const whenFlushed = (): void => {
      if (this.#socket?.writableFinished === true) done();
      else this.#socket?.once("finish", () => done());
    };
    if (this.#isJoined) whenFlushed();
    else this.#proceed = whenFlushed;
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#socket?.destroy();
    this.#endWaiting();
    done(error);
  }

  #endWaiting(): void {
    for (const socket of this.#waiting) socket.destroy();
    this.#waiting.clear();
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
      for (const socket of this.#waiting) socket.write(early);
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
