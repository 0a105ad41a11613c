import { concat } from "../../keys/bytes.ts";
import type { Aead } from "../../keys/cipher-suite.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { RECORDS_PER_KEY, SMALL_CHUNK_BYTES } from "../limits.ts";
import { TAG_BYTES } from "../suite/counter-aead.ts";
import { type ChannelRecord, encodeRecord } from "./record.ts";

/**
 * Seals the records of one direction: u24 L || L bytes of ciphertext and tag. The three length bytes are the
 * associated data, the nonce counts the records of this key from 0.
 */
export class RecordSealer {
  readonly #aead: Aead;
  #next: number;

  /** @param next number of the first record; 0 for a new key. */
  constructor(aead: Aead, next = 0) {
    this.#aead = aead;
    this.#next = next;
  }

  /** Whether this key may seal nothing more. */
  get spent(): boolean {
    return this.#next >= RECORDS_PER_KEY;
  }

  /**
   * The pieces of the sealed record, in order; bulk data is encrypted from where it lies and never copied. What is small is
   * one piece with its neighbours, since each piece costs a write of its own.
   * @throws {UnavailableError} E_TRUNCATED when this key has sealed as many records as it may.
   */
  seal(record: ChannelRecord): readonly Uint8Array[] {
    if (this.spent) {
      throw new UnavailableError("E_TRUNCATED", "This session has sent as many records as one key may seal.", {
        next: "Connect again.",
      });
    }
    const parts = encodeRecord(record);
    let length = TAG_BYTES;
    for (const part of parts) length += part.length;
    const header = Uint8Array.of(length >> 16, length >> 8, length);
    const pieces = this.#aead.sealParts(BigInt(this.#next), header, parts);
    this.#next += 1;
    return joinSmall([header, ...pieces]);
  }
}

function joinSmall(pieces: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = [];
  let small: Uint8Array[] = [];
  for (const piece of pieces) {
    if (piece.length < SMALL_CHUNK_BYTES) {
      small.push(piece);
      continue;
    }
    if (small.length > 0) joined.push(concat(...small));
    joined.push(piece);
    small = [];
  }
  if (small.length > 0) joined.push(concat(...small));
  return joined;
}
