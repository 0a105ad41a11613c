import type { MapNode } from "./map.ts";

/** A row with the hash that it was found to have. */
export interface HashedNode {
  readonly node: MapNode;
  readonly hash: Uint8Array;
}

/** Rows by name. One that has another hash than is asked for is as good as none, so that they serve all states of a map. */
export interface HashedNodes {
  get(path: string): HashedNode | undefined;
  put(path: string, row: HashedNode): void;
}
