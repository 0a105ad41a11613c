/**
 * The names and contents of the static files of a log: C2SP tlog-tiles (https://c2sp.org/tlog-tiles).
 *
 * ```
 * tile/L/N[.p/W]         256 (or W) hashes of 32 bytes: nodes of level 8 * L, from index 256 * N
 * tile/entries/N[.p/W]   256 (or W) leaves from index 256 * N, each u16-prefixed
 * N                      in groups of three digits, all but the last with an x before: 1234067 is x001/x234/067
 * ```
 */
import { ByteReader, ByteWriter, concat } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { type Hashing, type NodeId, nodeHash } from "./tree.ts";

/** Hashes or leaves in a tile that is full. */
export const TILE_WIDTH = 256;

export interface Tile {
  /** Of hashes, 0..6 in a tree of safe size; or the leaves themselves. */
  readonly level: number | "entries";
  readonly index: number;
  /** 1..256; below 256 the tile is partial and at the right edge of some tree. */
  readonly width: number;
}

/** @throws {PeerError} E_PROTOCOL when it is not the one path of a tile, or of one beyond 2^53 - 1 leaves. */
export function parseTilePath(path: string): Tile {
  const [, level, number, width] =
    /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path) ?? [];
  if (level === undefined || number === undefined) throw new PeerError("E_PROTOCOL", "not the path of a tile");
  const tile = {
    level: level === "entries" ? ("entries" as const) : Number(level),
    index: Number(number.replaceAll(/[x/]/g, "")),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  if (!isTile(tile) || printTilePath(tile) !== path) throw new PeerError("E_PROTOCOL", "not the path of a tile");
  return tile;
}

/** @throws {RangeError} for what is no tile. */
export function printTilePath(tile: Tile): string {
  if (!isTile(tile)) throw new RangeError("not a tile");
  const digits = String(tile.index);
  const groups = digits.padStart(3 * Math.ceil(digits.length / 3), "0").match(/.{3}/g) ?? [];
  const number = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join("/");
  return `tile/${tile.level}/${number}${tile.width === TILE_WIDTH ? "" : `.p/${tile.width}`}`;
}

/** The nodes whose hashes a tile holds, in order; for one of leaves those of the leaves. */
export function tileNodes({ level, index, width }: Tile): NodeId[] {
  return Array.from({ length: width }, (_, at) => ({ level: nodeLevel(level), index: index * TILE_WIDTH + at }));
}

/** How wide a tile is in a tree of `size` leaves, 0..256; at 0 there is none. */
export function tileWidth({ level, index }: Omit<Tile, "width">, size: number): number {
  const nodes = Math.floor(size / 2 ** nodeLevel(level));
  return Math.min(Math.max(nodes - index * TILE_WIDTH, 0), TILE_WIDTH);
}

/** @throws {RangeError} when there are none or too many, or one is not 32 bytes. */
export function encodeTile(hashes: readonly Uint8Array[]): Uint8Array {
  if (!isWidth(hashes.length) || hashes.some((hash) => hash.length !== 32)) throw new RangeError("not a tile's hashes");
  return concat(...hashes);
}

/** The hashes, still to be held against their parent. @throws {PeerError} E_PROTOCOL unless there are exactly `width`. */
export function parseTile(bytes: Uint8Array, width: number): Uint8Array[] {
  const reader = new ByteReader(bytes);
  const hashes = Array.from({ length: demandWidth(width) }, () => reader.raw(32).slice());
  reader.end();
  return hashes;
}

/**
 * What a full tile's hashes make together: the hash in the tile above it, at its index. A tile counts only when it is that
 * one, up to the checkpoint's root. @throws {RangeError} for a partial tile, which has no parent but the root.
 */
export function tileRoot(suite: Hashing, hashes: readonly Uint8Array[]): Uint8Array {
  if (hashes.length !== TILE_WIDTH) throw new RangeError("not a full tile");
  let row = [...hashes];
  while (row.length > 1) {
    row = Array.from({ length: row.length / 2 }, (_, at) => {
      const [left, right] = row.slice(2 * at, 2 * at + 2) as [Uint8Array, Uint8Array];
      return nodeHash(suite, left, right);
    });
  }
  return row[0] as Uint8Array;
}

/** @throws {RangeError} when there are none, too many, or one of more than 65,535 bytes. */
export function encodeEntryBundle(leaves: readonly Uint8Array[]): Uint8Array {
  if (!isWidth(leaves.length)) throw new RangeError("not a bundle of leaves");
  const writer = new ByteWriter();
  for (const leaf of leaves) writer.bytes16(leaf);
  return writer.done();
}

/** The leaves, whose hashes are still to be found in the tree. @throws {PeerError} E_PROTOCOL unless there are exactly `width`. */
export function parseEntryBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const reader = new ByteReader(bytes);
  const leaves = Array.from({ length: demandWidth(width) }, () => reader.bytes16().slice());
  reader.end();
  return leaves;
}

function isTile({ level, index, width }: Tile): boolean {
  const isLevel = level === "entries" || (Number.isInteger(level) && level >= 0 && level <= 6);
  if (!isLevel || !isWidth(width) || !Number.isSafeInteger(index) || index < 0) return false;
  return (index * TILE_WIDTH + width) * 2 ** nodeLevel(level) <= Number.MAX_SAFE_INTEGER;
}

function nodeLevel(level: Tile["level"]): number {
  return level === "entries" ? 0 : 8 * level;
}

function isWidth(width: number): boolean {
  return Number.isInteger(width) && width >= 1 && width <= TILE_WIDTH;
}

function demandWidth(width: number): number {
  if (!isWidth(width)) throw new RangeError("not the width of a tile");
  return width;
}
