import { SMALL_CHUNK_BYTES } from "../limits.ts";

const BLOCK_BYTES = 16 * 1024;
const NO_BLOCK = new Uint8Array(0);

/**
 * Bytes that wait for a reader, first in, first out. Small chunks are joined, so that a million of one byte each takes
 * about a megabyte and not a million objects; larger ones are kept as they came.
 */
export class ByteQueue {
  #chunks: Uint8Array[] = [];
  #block: Uint8Array = NO_BLOCK;
  #joined = 0;

  get empty(): boolean {
    return this.#chunks.length === 0 && this.#joined === 0;
  }

  push(bytes: Uint8Array): void {
    if (bytes.length >= SMALL_CHUNK_BYTES) {
      this.#endBlock();
      this.#chunks.push(bytes);
      return;
    }
    if (this.#joined + bytes.length > BLOCK_BYTES) this.#endBlock();
    if (this.#block.length === 0) this.#block = new Uint8Array(BLOCK_BYTES);
    this.#block.set(bytes, this.#joined);
    this.#joined += bytes.length;
  }

  /** The next bytes; undefined when there are none. */
  shift(): Uint8Array | undefined {
    if (this.#chunks.length === 0) {
      this.#endBlock();
      this.#block = NO_BLOCK;
    }
    return this.#chunks.shift();
  }

  clear(): void {
    this.#chunks = [];
    this.#block = NO_BLOCK;
    this.#joined = 0;
  }

  #endBlock(): void {
    if (this.#joined > 0) this.#chunks.push(this.#block.slice(0, this.#joined));
    this.#joined = 0;
  }
}
