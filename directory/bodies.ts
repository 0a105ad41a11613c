import type { IncomingMessage } from "node:http";
import { BODIES_BYTES, BODY_PIECES, SEALED_MESSAGE_BYTES } from "../protocol/limits.ts";

/** A body that is not whole yet. */
interface Body {
  readonly pieces: Uint8Array[];
  length: number;
  readonly giveUp: () => void;
}

/**
 * The bodies of requests while they come in. All together take BODIES_BYTES at most: the one begun first is given up when
 * they would take more, since honest ones are there at once, and never the one that is just coming. And none may come in a
 * great many pieces, each of which would cost as much as a request.
 */
export class Bodies {
  readonly #coming = new Set<Body>();
  #held = 0;

  /**
   * The whole body, or undefined as soon as it is longer than a sealed message may be. Rejects when it is cut off, given
   * up, or in too many pieces.
   */
  async read(request: IncomingMessage): Promise<Uint8Array | undefined> {
    if (Number(request.headers["content-length"] ?? 0) > SEALED_MESSAGE_BYTES) return undefined;
    const body: Body = { pieces: [], length: 0, giveUp: () => void request.destroy() };
    this.#coming.add(body);
    try {
      const isWhole = await this.#readInto(body, request);
      return isWhole ? Buffer.concat(body.pieces) : undefined;
    } finally {
      this.#forget(body);
    }
  }

  #readInto(body: Body, request: IncomingMessage): Promise<boolean> {
    return new Promise((resolve, reject) => {
      request.on("data", (piece: Uint8Array) => {
        if (body.pieces.length >= BODY_PIECES) return body.giveUp(); // an answer would mean to read on
        if (body.length + piece.length > SEALED_MESSAGE_BYTES) {
          request.removeAllListeners("data");
          return resolve(false);
        }
        body.pieces.push(piece);
        body.length += piece.length;
        this.#held += piece.length;
        this.#makeRoomFor(body);
      });
      request.on("end", () => resolve(true));
      request.on("error", reject);
      request.on("close", () => reject(new Error("a body was cut off")));
    });
  }

  #makeRoomFor(coming: Body): void {
    for (const first of this.#coming) {
      if (this.#held <= BODIES_BYTES) return;
      if (first === coming) continue;
      this.#forget(first);
      first.giveUp();
    }
  }

  #forget(body: Body): void {
    if (!this.#coming.delete(body)) return;
    this.#held -= body.length;
  }
}
