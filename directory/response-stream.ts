import type { ServerResponse } from "node:http";
import { setImmediate as othersTurn } from "node:timers/promises";
import { UNREAD_ANSWER_MS, UNSENT_ANSWER_BYTES } from "../protocol/limits.ts";
import { encodeFrame, type Frame } from "../protocol/messages/response-frames.ts";
import type { ResponseSealer } from "../protocol/response.ts";
import type { Clock } from "./clock.ts";

/** The streamed answer to one POST: sealed frames, the last of them final. What is sent after its end is lost silently. */
export class ResponseStream {
  readonly #response: ServerResponse;
  readonly #sealer: ResponseSealer;
  readonly #clock: Pick<Clock, "every">;
  readonly #closed = new Set<() => void>();
  /** Opening and welcome, until the first frame goes out with them in one packet. */
  #held: Uint8Array[];
  #isOpen = true;
  /** Told whenever the answer goes on only once its reader has read; what it gives is called when that is so, or the answer has ended. */
  onReader: (() => () => void) | undefined;

  constructor(response: ServerResponse, sealer: ResponseSealer, clock: Pick<Clock, "every">, welcome: Frame) {
    this.#response = response;
    this.#sealer = sealer;
    this.#clock = clock;
    this.#held = [sealer.opening, this.#seal(welcome, false)];
    response.writeHead(200, {
      "content-type": "application/octet-stream",
      "cache-control": "no-store",
      "x-accel-buffering": "no", // or nginx would keep the frames until the end
    });
    response.once("close", () => this.#close());
  }

  /** Whether the other side may still read. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Calls `listener` when the answer has ended or was cut off, at once if it has. */
  onClose(listener: () => void): void {
    if (this.#isOpen) this.#closed.add(listener);
    else listener();
  }

  send(frame: Frame): void {
    this.#write(frame, false);
  }

  /**
   * Waits until what was sent is with the reader's network, or the answer has ended; it is cut off when that takes longer than
   * UNREAD_ANSWER_MS. Whoever sends more than a few frames waits so in between.
   */
  async drained(): Promise<void> {
    // What the network takes at once is reported a little later all the same.
    for (let turns = 0; turns < 2 && this.#isFull; turns += 1) await othersTurn();
    if (!this.#isFull) return;
    const goesOn = this.onReader?.();
    const stop = this.#clock.every(UNREAD_ANSWER_MS, () => this.cut());
    await new Promise<void>((resolve) => {
      const done = (): void => {
        this.#closed.delete(done);
        goesOn?.();
        resolve();
      };
      this.#response.once("drain", done);
      this.onClose(done);
    });
    stop();
  }

  /** Sends the final frame. */
  end(frame: Frame): void {
    if (!this.#isOpen) return;
    this.#write(frame, true);
    this.#response.end();
    this.#close();
  }

  /** Ends the answer without a final frame. */
  cut(): void {
    this.#response.destroy();
    this.#close();
  }

  get #isFull(): boolean {
    return this.#isOpen && this.#response.writableNeedDrain;
  }

  #write(frame: Frame, final: boolean): void {
    if (!this.#isOpen) return;
    this.#response.write(Buffer.concat([...this.#held, this.#seal(frame, final)]));
    this.#held = [];
    if (this.#response.writableLength > UNSENT_ANSWER_BYTES) this.#response.destroy();
  }

  #seal(frame: Frame, final: boolean): Uint8Array {
    return this.#sealer.seal({ final, ...encodeFrame(frame) });
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    for (const listener of this.#closed) listener();
    this.#closed.clear();
  }
}
