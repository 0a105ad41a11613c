import { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import { PeerError } from "../keys/errors.ts";
import {
  LEG_PONGS,
  LINGER_MS,
  LINK_BUFFERED_CHUNKS,
  LINK_FRAGMENTS,
  WEBSOCKET_MESSAGE_BYTES,
} from "../protocol/limits.ts";

/** Settings of ws for both ends of a leg; its own are far too wide. */
export const WEBSOCKET_LIMITS = {
  maxPayload: WEBSOCKET_MESSAGE_BYTES,
  maxFragments: LINK_FRAGMENTS,
  maxBufferedChunks: LINK_BUFFERED_CHUNKS,
  maxPendingAutoPongs: LEG_PONGS,
  perMessageDeflate: false,
  closeTimeout: LINGER_MS,
} as const;

/** What is sent at once: in pieces of this length a message spans far fewer reads than WEBSOCKET_LIMITS lets through. */
const SENT_BYTES = 16 * 1024;
const NOTHING = new Uint8Array(0);

/**
 * The byte stream that the binary messages of an open WebSocket carry. Their borders mean nothing, but an empty message
 * ends the stream of its direction, as FIN does on TCP; closing the WebSocket ends both.
 *
 * Beside its own buffers, ws may hold a read of 64 KiB and a message that is not complete.
 */
export class WebSocketStream extends Duplex {
  readonly #socket: WebSocket;

  constructor(socket: WebSocket) {
    super({ readableHighWaterMark: 1, writableHighWaterMark: SENT_BYTES });
    this.#socket = socket;
    socket.on("message", (data, isBinary) => this.#receive(data, isBinary));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.#closed());
  }

  override _read(): void {
    if (this.#socket.isPaused) this.#socket.resume();
  }

  override _write(chunk: Uint8Array, _encoding: string, done: (error?: Error | null) => void): void {
    let sent = 0;
    for (; chunk.length - sent > SENT_BYTES; sent += SENT_BYTES) {
      this.#socket.send(chunk.subarray(sent, sent + SENT_BYTES));
    }
    this.#socket.send(chunk.subarray(sent), done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.send(NOTHING, done);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const { readableEnded, writableFinished } = this;
    if (error === null && readableEnded && writableFinished) this.#socket.close(1000);
    else this.#socket.terminate();
    done(error);
  }

  #receive(data: RawData, isBinary: boolean): void {
    if (!isBinary || !(data instanceof Uint8Array)) {
      this.destroy(new PeerError("E_PROTOCOL", "a leg carries text"));
    } else if (data.length === 0) {
      this.push(null);
    } else if (!this.push(data)) {
      this.#socket.pause();
    }
  }

  /** What came before is still to be read; what is written from now on goes nowhere. */
  #closed(): void {
    if (this.destroyed) return;
    if (this.readableEnded) this.destroy();
    else this.on("end", () => this.destroy()).push(null);
  }
}
