import { type MapNode, MapRows, pathOf } from "../../protocol/log/map.ts";
import type { Hashing } from "../../protocol/log/tree.ts";
import { MAP_DEPTH } from "../../protocol/limits.ts";
import { damaged, type LogRows } from "./rows.ts";

/**
 * The map of newest statements with the rows on the ways of `keys`, of which one read brings most, if not all.
 * @throws {SecurityError} E_LOG when the rows are of another root: they have changed meanwhile, or are damaged;
 * {UnavailableError} E_STORAGE when one is missing or cannot be read.
 */
export async function loadMap(
  suite: Hashing,
  stored: LogRows,
  root: Uint8Array,
  keys: readonly Uint8Array[],
): Promise<MapRows> {
  const rows = new Map<string, MapNode>();
  const map = new MapRows(suite, root, rows);
  for (let depth = 0; ; depth += DEPTHS_AT_ONCE) {
    const open = keys.filter((key) => map.missing(key) !== undefined);
    if (open.length === 0) return map;
    if (depth > MAP_DEPTH) throw damaged("a log-map entry is missing");
    const count = Math.min(DEPTHS_AT_ONCE, MAP_DEPTH + 1 - depth);
    const paths = open.flatMap((key) => Array.from({ length: count }, (_, below) => pathOf(key, depth + below)));
    for (const [path, node] of await stored.mapNodes([...new Set(paths)])) rows.set(path, node);
  }
}

/** The way to one of a million entries has some 20 nodes; asking for one that is not there costs next to nothing. */
const DEPTHS_AT_ONCE = 24;
