import { Duplex } from "node:stream";
import { UnavailableError } from "../../keys/errors.ts";
import { DATA_BYTES } from "../limits.ts";
import { ByteQueue } from "./byte-queue.ts";
import type { Channel } from "./channel.ts";
import type { BreakCode } from "./end-codes.ts";

/** What carries the bytes of a channel: a TCP socket, a WebSocket leg, a pipe. */
export type ByteSocket = Duplex;

/** What a stream needs of the channel and the socket it travels on. */
export interface StreamPath {
  readonly channel: Channel;
  /** Whether the socket wants no more for now. */
  readonly full: boolean;
  /** Calls `stream.pump` once the socket has drained and it is this stream's turn. */
  waitForDrain(stream: ChannelStream): void;
  /** Performs `action` on the channel and sends what comes of it. */
  run(action: () => void): void;
  /** Sends what the channel has to say. */
  flush(): void;
  /** Sends no more events to `stream`. */
  forget(stream: ChannelStream): void;
}

const NOTHING = new Uint8Array(0);

/** Node asks for the next chunk as soon as it has handed one on; what waits, waits in a ByteQueue. */
const READABLE_HIGH_WATER_MARK = 1;

/** Room for one chunk of 64 KiB without asking its source to pause. */
const WRITABLE_HIGH_WATER_MARK = 2 * DATA_BYTES;

/**
 * One stream of a channel as a Duplex. Each direction ends on its own, as in TCP: `end()` sends END and leaves the
 * other direction open. Destroying it breaks the stream off; when the peer does, it is destroyed with the reason.
 * An error that nobody listens for is not thrown.
 */
export class ChannelStream extends Duplex {
  readonly number: number;
  readonly service: string;
  /** Resolves when the stream is accepted; rejects with the reason when it never will be. Need not be awaited. */
  readonly opened: Promise<void>;
  readonly #path: StreamPath;
  #mayEnd: boolean;
  #resolveOpened: () => void = () => {};
  #rejectOpened: (reason: Error) => void = () => {};
  readonly #received = new ByteQueue();
  #wanted = false;
  #endReceived = false;
  #unsent: Uint8Array = NOTHING;
  #ending = false;
  #done: (() => void) | undefined; // tells Node that what it gave us last is sent
  #breakCode: BreakCode | undefined;
  #bytesReceived = 0;
  #bytesSent = 0;

  constructor(path: StreamPath, number: number, service: string, role: "opener" | "answerer") {
    super({
      allowHalfOpen: true,
      readableHighWaterMark: READABLE_HIGH_WATER_MARK,
      writableHighWaterMark: WRITABLE_HIGH_WATER_MARK,
    });
    this.number = number;
    this.service = service;
    this.#path = path;
    this.#mayEnd = role === "opener";
    this.opened = new Promise((resolve, reject) => {
      this.#resolveOpened = resolve;
      this.#rejectOpened = reject;
    });
    this.opened.catch(() => {});
    this.on("error", () => {});
  }

  /** Bytes that came from the peer. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** Bytes that went to the peer. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Answers a stream that the peer asks for with yes. */
  accept(): void {
    this.#path.run(() => {
      this.#path.channel.accept(this.number);
      this.receiveOpened();
    });
  }

  /** Answers with no, or breaks the stream off for this reason. */
  refuse(code: BreakCode): void {
    this.#breakCode = code;
    this.destroy();
  }

  /** Whether both directions have ended; what was received may still wait for its reader. */
  get complete(): boolean {
    return this.#endReceived && this.#ending && this.#done === undefined;
  }

  /** The stream may be used in both directions from now on. This and the three below are for the path, within a run. */
  receiveOpened(): void {
    this.#mayEnd = true;
    this.#resolveOpened();
    this.pump();
  }

  receiveData(bytes: Uint8Array): void {
    this.#bytesReceived += bytes.length;
    if (this.#wanted) this.#give(bytes);
    else this.#received.push(bytes);
  }

  receiveEnd(): void {
    this.#endReceived = true;
    this.#giveReceived();
  }

  /** Sends what waits, as far as credit and socket allow. */
  pump(): void {
    const { channel } = this.#path;
    while (this.#unsent.length > 0) {
      if (this.#path.full) {
        this.#path.waitForDrain(this);
        return;
      }
      const length = channel.send(this.number, this.#unsent.subarray(0, DATA_BYTES));
      if (length === 0) return;
      this.#path.flush();
      this.#bytesSent += length;
      this.#unsent = this.#unsent.subarray(length);
    }
    if (this.#ending) {
      if (!this.#mayEnd) return;
      channel.end(this.number);
    }
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, callback: () => void): void {
    this.#unsent = chunk;
    this.#done = callback;
    this.#path.run(() => this.pump());
  }

  override _final(callback: () => void): void {
    this.#ending = true;
    this.#done = callback;
    this.#path.run(() => this.pump());
  }

  override _read(): void {
    this.#wanted = true;
    this.#path.run(() => this.#giveReceived());
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#received.clear();
    this.#unsent = NOTHING;
    this.#done = undefined;
    this.#path.forget(this);
    // Does nothing for a stream that both sides have finished.
    const code = this.#breakCode ?? (error === null ? "cancelled" : "failed");
    this.#path.run(() => this.#path.channel.reset(this.number, code));
    this.#rejectOpened(error ?? new UnavailableError("E_TRUNCATED", "The stream was given up."));
    callback(error);
  }

  #giveReceived(): void {
    while (this.#wanted) {
      const bytes = this.#received.shift();
      if (bytes === undefined) break;
      this.#give(bytes);
    }
    if (this.#endReceived && this.#received.empty && !this.readableEnded) this.push(null);
  }

  #give(bytes: Uint8Array): void {
    this.#wanted = false; // push may ask again before it returns
    if (this.push(bytes)) this.#wanted = true;
    this.#path.channel.consumed(this.number, bytes.length);
  }
}
