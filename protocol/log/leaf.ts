/**
 * A leaf of the log, 33 bytes: u8 type || 32-byte hash. The last leaf of every tree that is published is a heads leaf.
 *
 * ```
 * 1 statement   SHA-256 of a statement's text
 * 2 heads       the root of the map from every subject to its newest statement
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";

export interface Leaf {
  readonly type: "statement" | "heads";
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

const STATEMENT = 1;
const HEADS = 2;

/** The 33 bytes that a tree hashes as its leaf. @throws {RangeError} when the hash is not 32 bytes. */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  if (leaf.hash.length !== 32) throw new RangeError("a leaf's hash is 32 bytes");
  return new ByteWriter()
    .u8(leaf.type === "statement" ? STATEMENT : HEADS)
    .raw(leaf.hash)
    .done();
}

/** @throws {PeerError} E_PROTOCOL when it is not 33 bytes or of an unknown type. */
export function parseLeaf(bytes: Uint8Array): Leaf {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  const hash = reader.raw(32).slice();
  reader.end();
  if (type !== STATEMENT && type !== HEADS) throw new PeerError("E_PROTOCOL", "a leaf is of an unknown type");
  return { type: type === STATEMENT ? "statement" : "heads", hash };
}
