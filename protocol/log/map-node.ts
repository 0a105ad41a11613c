export interface MapEntry {
  /** 32 bytes each. */
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

export type MapNode =
  | { readonly kind: "branch"; readonly left: Uint8Array; readonly right: Uint8Array }
  | ({ readonly kind: "entry" } & MapEntry);

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
