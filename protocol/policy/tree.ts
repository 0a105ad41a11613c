/** The text of a policy as a tree of maps, lists and texts, each with its place; yaml-tree.ts makes it. */
import type { Position } from "./problem.ts";

export type Tree = TextNode | ListNode | MapNode | NothingNode;

export interface TextNode {
  readonly kind: "text";
  readonly text: string;
  readonly at: Position;
}

export interface ListNode {
  readonly kind: "list";
  readonly items: readonly Tree[];
  readonly at: Position;
}

/** No two entries have the same key. */
export interface MapNode {
  readonly kind: "map";
  readonly entries: readonly { readonly key: TextNode; readonly value: Tree }[];
  readonly at: Position;
}

/** A field or an item behind which nothing stands. */
export interface NothingNode {
  readonly kind: "nothing";
  readonly at: Position;
}
