import type { IncomingMessage } from "node:http";
import { BODIES_BYTES, SEALED_MESSAGE_BYTES } from "../protocol/limits.ts";

/** A body that is not whole yet. */
interface Body {
  readonly request: IncomingMessage;
  bytes: Buffer;
  length: number;
}

/** Room for a body of unknown length at first; it doubles. */
const FIRST_BYTES = 4 * 1024;

/**
 * The bodies of requests while they come in. However they are cut, each takes the room of its bytes alone; and all
 * together take BODIES_BYTES at most, for the one that was begun first is given up when they would take more.
 */
export class Bodies {
  readonly #coming = new Set<Body>();
  #held = 0;

  /** The whole body, or undefined as soon as it is longer than a sealed message may be. Rejects when it is cut off. */
  async read(request: IncomingMessage): Promise<Uint8Array | undefined> {
    if (Number(request.headers["content-length"] ?? 0) > SEALED_MESSAGE_BYTES) return undefined;
    const body: Body = { request, bytes: Buffer.alloc(0), length: 0 };
    this.#coming.add(body);
    try {
      for await (const chunk of request.iterator({ destroyOnReturn: false })) {
        if (!(chunk instanceof Uint8Array)) return undefined;
        if (body.length + chunk.length > SEALED_MESSAGE_BYTES) return undefined;
        this.#makeRoom(body, chunk.length);
        body.bytes.set(chunk, body.length);
        body.length += chunk.length;
      }
      return body.bytes.subarray(0, body.length);
    } finally {
      this.#coming.delete(body);
      this.#held -= body.bytes.length;
    }
  }

  #makeRoom(body: Body, length: number): void {
    const needed = body.length + length;
    if (needed <= body.bytes.length) return;
    const room = Math.min(SEALED_MESSAGE_BYTES, Math.max(needed, FIRST_BYTES, 2 * body.bytes.length));
    const bytes = Buffer.alloc(room);
    bytes.set(body.bytes.subarray(0, body.length));
    this.#held += room - body.bytes.length;
    body.bytes = bytes;
    for (const oldest of this.#coming) {
      if (this.#held <= BODIES_BYTES || oldest === body) break;
      this.#coming.delete(oldest);
      this.#held -= oldest.bytes.length;
      oldest.bytes = Buffer.alloc(0);
      oldest.length = SEALED_MESSAGE_BYTES;
      oldest.request.destroy();
    }
  }
}
