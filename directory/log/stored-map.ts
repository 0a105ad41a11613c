import type { HashedNodes, MapNode } from "../../protocol/log/map-node.ts";
import { MapRows, pathOf } from "../../protocol/log/map.ts";
import type { Hashing } from "../../protocol/log/tree.ts";
import { MAP_DEPTH } from "../../protocol/limits.ts";
import { damaged, type LogRows } from "./rows.ts";

/**
 * The map of newest statements with the rows on the ways of `keys`, of which one read brings most, if not all. What `hashed` has of
 * them is not read.
 * @throws {SecurityError} E_LOG when the rows are of another root: they have changed meanwhile, or are damaged;
 * {UnavailableError} E_STORAGE when one is missing or cannot be read.
 */
export async function loadMap(
  suite: Hashing,
  stored: LogRows,
  root: Uint8Array,
  keys: readonly Uint8Array[],
  hashed?: HashedNodes,
): Promise<MapRows> {
  const rows = new Map<string, MapNode>();
  const map = new MapRows(suite, root, rows, hashed);
  for (const read = new Set<string>(); ; ) {
    const missing = keys.flatMap((key) => {
      const path = map.missing(key);
      return path === undefined ? [] : [{ key, path }];
    });
    if (missing.length === 0) return map;
    if (missing.some(({ path }) => read.has(path))) throw damaged("a log-map entry is missing");
    const paths = missing.flatMap(({ key, path }) => {
      const depth = Number.parseInt(path.slice(0, 3), 16);
      const count = Math.min(DEPTHS_AT_ONCE, MAP_DEPTH + 1 - depth);
      return Array.from({ length: count }, (_, below) => pathOf(key, depth + below));
    });
    for (const path of paths) read.add(path);
    for (const [path, node] of await stored.mapNodes([...new Set(paths)])) rows.set(path, node);
  }
}

/** Below the top, which is known, the way to one of a million entries has some ten nodes; asking for one that is not there costs little. */
const DEPTHS_AT_ONCE = 16;
