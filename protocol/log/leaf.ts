/**
 * A leaf of the log. The last leaf of every tree that is published is a heads leaf.
 *
 * ```
 * statement   u8 1 || SHA-256 of a statement's text (32)
 * heads       u8 2 || the root of the map from every subject to its newest statement (32)
 * audit       u8 3 || the directory that keeps that audit (8) || SHA-256 of its line (32)
 * ```
 */
import { ByteReader, ByteWriter } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";

export type Leaf =
  | {
      readonly type: "statement" | "heads";
      /** 32 bytes. */
      readonly hash: Uint8Array;
    }
  | AuditLeaf;

/** That an audit had this line: with it stand all the lines before, whose hashes are chained in it. */
export interface AuditLeaf {
  readonly type: "audit";
  /** 8 bytes. */
  readonly directory: Uint8Array;
  /** 32 bytes. */
  readonly hash: Uint8Array;
}

const STATEMENT = 1;
const HEADS = 2;
const AUDIT = 3;

/** The bytes that a tree hashes as its leaf, 33 or 41. @throws {RangeError} when a field has another length. */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  if (leaf.hash.length !== 32) throw new RangeError("a leaf's hash is 32 bytes");
  if (leaf.type !== "audit") {
    return new ByteWriter()
      .u8(leaf.type === "statement" ? STATEMENT : HEADS)
      .raw(leaf.hash)
      .done();
  }
  if (leaf.directory.length !== 8) throw new RangeError("a directory is 8 bytes in a leaf");
  return new ByteWriter().u8(AUDIT).raw(leaf.directory).raw(leaf.hash).done();
}

/** @throws {PeerError} E_PROTOCOL when it has not the length of its type, or is of an unknown type. */
export function parseLeaf(bytes: Uint8Array): Leaf {
  const reader = new ByteReader(bytes);
  const type = reader.u8();
  if (type !== STATEMENT && type !== HEADS && type !== AUDIT) {
    throw new PeerError("E_PROTOCOL", "a leaf is of an unknown type");
  }
  const directory = type === AUDIT ? reader.raw(8).slice() : undefined;
  const hash = reader.raw(32).slice();
  reader.end();
  if (directory !== undefined) return { type: "audit", directory, hash };
  return { type: type === STATEMENT ? "statement" : "heads", hash };
}
