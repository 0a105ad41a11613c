import type { Aead } from "../../keys/cipher-suite.ts";
import { assert, PeerError } from "../../keys/errors.ts";
import { RECORD_BYTES, RECORDS_PER_KEY } from "../limits.ts";
import { TAG_BYTES } from "../suite/counter-aead.ts";

const HEADER_BYTES = 3;
const NOTHING = new Uint8Array(0);

/**
 * Opens the records of one direction (see RecordSealer), from a byte stream that may be cut anywhere:
 * {@link push} a chunk, then call {@link next} until it has no more.
 *
 * Holds at most one record. A record that lies whole in a chunk is opened in place; any other is assembled first,
 * in one buffer that is used again and again. After a failure nothing more is ever opened.
 */
export class RecordOpener {
  readonly #aead: Aead;
  #number: number;
  #chunk: Uint8Array = NOTHING;
  #assembly: Uint8Array = NOTHING;
  #assembled = 0;
  #failed = false;

  /** @param number number of the first record; 0 for a new key. */
  constructor(aead: Aead, number = 0) {
    this.#aead = aead;
    this.#number = number;
  }

  /** Hands over the next bytes of the stream. They must not change until {@link next} has returned undefined. */
  push(chunk: Uint8Array): void {
    assert(this.#chunk.length === 0, "a chunk is used up before the next");
    this.#chunk = chunk;
  }

  /**
   * The plaintext of the next record, in memory of its own; undefined when the bytes so far hold no further whole record.
   * @throws {PeerError} E_PROTOCOL when a length is out of bounds, a record does not verify, or the key has opened
   * as many as it may; and on every call after that.
   */
  next(): Uint8Array | undefined {
    if (this.#failed) throw new PeerError("E_PROTOCOL", "nothing is read after a failure");
    try {
      const record = this.#nextSealed();
      return record === undefined ? undefined : this.#open(record);
    } catch (error) {
      this.#failed = true;
      this.#chunk = this.#assembly = NOTHING;
      throw error;
    }
  }

  /** Header and ciphertext of the next record, once it is whole. */
  #nextSealed(): Uint8Array | undefined {
    if (this.#assembled === 0 && this.#chunk.length >= HEADER_BYTES) {
      const total = sealedLength(this.#chunk);
      if (this.#chunk.length >= total) return this.#cut(total);
    }
    if (!this.#assemble(HEADER_BYTES)) return undefined;
    const total = sealedLength(this.#assembly);
    if (!this.#assemble(total)) return undefined;
    this.#assembled = 0;
    return this.#assembly.subarray(0, total);
  }

  /** Moves bytes from the chunk until at least `target` of them are assembled; false when the chunk ends before that. */
  #assemble(target: number): boolean {
    const missing = Math.max(0, target - this.#assembled);
    const bytes = this.#cut(Math.min(missing, this.#chunk.length));
    if (bytes.length > 0) {
      if (this.#assembly.length === 0) this.#assembly = new Uint8Array(HEADER_BYTES + RECORD_BYTES);
      this.#assembly.set(bytes, this.#assembled);
      this.#assembled += bytes.length;
    }
    return this.#assembled >= target;
  }

  #cut(length: number): Uint8Array {
    const bytes = this.#chunk.subarray(0, length);
    this.#chunk = length === this.#chunk.length ? NOTHING : this.#chunk.subarray(length);
    return bytes;
  }

  #open(record: Uint8Array): Uint8Array {
    if (this.#number >= RECORDS_PER_KEY) throw new PeerError("E_PROTOCOL", "too many records under one key");
    const header = record.subarray(0, HEADER_BYTES);
    const plaintext = this.#aead.open(BigInt(this.#number), header, record.subarray(HEADER_BYTES));
    if (plaintext === undefined) throw new PeerError("E_PROTOCOL", "a record does not verify");
    this.#number += 1;
    return plaintext;
  }
}

/** Length of a record with its header. @throws {PeerError} E_PROTOCOL when it is out of bounds. */
function sealedLength(header: Uint8Array): number {
  const [high = 0, middle = 0, low = 0] = header;
  const length = (high << 16) | (middle << 8) | low;
  if (length <= TAG_BYTES || length > RECORD_BYTES)
    throw new PeerError("E_PROTOCOL", "a record's length is out of bounds");
  return HEADER_BYTES + length;
}
