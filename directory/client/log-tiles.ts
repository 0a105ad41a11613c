import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { LOG_TILE_MS } from "../../protocol/limits.ts";
import { parseTile, printTilePath, TILE_WIDTH, tileWidth } from "../../protocol/log/tiles.ts";
import { nodeHash, type NodeId, planConsistency } from "../../protocol/log/tree.ts";
import { exchange, notADirectory } from "./http-exchange.ts";

/**
 * What proves that the tree of `newSize` leaves begins with the one of `oldSize`, made from the tiles that the directory at
 * `base` serves to everybody; whether it proves that is for whoever has both roots.
 * @throws {UnavailableError} E_DIRECTORY, E_RATE, E_BUSY; {PeerError} E_PROTOCOL; {RangeError} for no two sizes of a growing
 * tree; the signal's reason.
 */
export async function readConsistency(
  suite: CipherSuite,
  base: URL,
  [oldSize, newSize]: readonly [number, number],
  { signal, warn }: { readonly signal: AbortSignal; readonly warn: (text: string) => void },
): Promise<Uint8Array[]> {
  const plan = planConsistency(oldSize, newSize);
  const whole = AbortSignal.any([signal, AbortSignal.timeout(LOG_TILE_MS)]);
  const tiles = new Map<string, Promise<Uint8Array[]>>();
  const tile = (level: number, index: number): Promise<Uint8Array[]> => {
    const width = tileWidth({ level, index }, newSize);
    const path = printTilePath({ level, index, width });
    const known = tiles.get(path) ?? readTile(base, path, width, { signal: whole, warn });
    tiles.set(path, known);
    return known;
  };
  const hashes: Uint8Array[] = [];
  for (const node of plan.nodes) {
    const { level, index, first, count } = placeOf(node);
    const row = (await tile(level, index)).slice(first, first + count);
    hashes.push(folded(suite, row));
  }
  return plan.complete(suite, hashes);
}

/** Which hashes of which tile a node is made from: those at the tile's own level below it. */
function placeOf({ level, index }: NodeId): { level: number; index: number; first: number; count: number } {
  const count = 2 ** (level % 8);
  const begin = index * count;
  return { level: Math.floor(level / 8), index: Math.floor(begin / TILE_WIDTH), first: begin % TILE_WIDTH, count };
}

function folded(suite: CipherSuite, row: readonly Uint8Array[]): Uint8Array {
  const [left, right] = row;
  if (left === undefined || right === undefined) return left ?? new Uint8Array(32);
  const half = row.length / 2;
  return row.length === 2
    ? nodeHash(suite, left, right)
    : nodeHash(suite, folded(suite, row.slice(0, half)), folded(suite, row.slice(half)));
}

async function readTile(
  base: URL,
  path: string,
  width: number,
  { signal, warn }: { readonly signal: AbortSignal; readonly warn: (text: string) => void },
): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of exchange({ base, route: `/v1/log/${path}`, signal, isBackground: true, warn })) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > 32 * TILE_WIDTH) throw notADirectory(base, "too long a tile");
  }
  return parseTile(Buffer.concat(chunks), width);
}
