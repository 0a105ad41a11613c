import { fromBase64 } from "../../keys/bytes.ts";
import { SshnpError, UnavailableError } from "../../keys/errors.ts";
import { encodeLeaf, type Leaf, parseLeaf } from "../../protocol/log/leaf.ts";
import { encodeMapNode, parseMapNode } from "../../protocol/log/map.ts";
import type { MapNode } from "../../protocol/log/map-node.ts";
import { type Hashing, leafHash, type NodeId, type TreeNode } from "../../protocol/log/tree.ts";
import type { Database, Operation } from "../database.ts";

/** What the log needs of a database. */
export type LogDatabase = Pick<Database, "isShared" | "get" | "getMany" | "write" | "exclusively" | "settle">;

/**
 * The log's rows in the directory's database. Leaves and nodes are written once and never change.
 *
 * ```
 * log-leaf:INDEX         a leaf, 33 or 41 bytes
 * log-node:LEVEL:INDEX   hash of a complete subtree of 2^LEVEL leaves, LEVEL from 1 on: a leaf's own is made from the leaf
 * log-map:PATH           a node of the map as it is now, 65 bytes
 * log:checkpoint         the newest checkpoint, as the log signed it
 * log:cosigned           the same with cosignatures, of the newest checkpoint or of an older one
 * ```
 * INDEX is 14 hex digits, LEVEL 2 decimal ones, so that neighbours stand together. Bytes are base64, checkpoints their text.
 */
export class LogRows {
  readonly #suite: Hashing;
  readonly #database: LogDatabase;

  constructor(suite: Hashing, database: LogDatabase) {
    this.#suite = suite;
    this.#database = database;
  }

  /** The text of a checkpoint, or undefined when none was stored. @throws {UnavailableError} E_STORAGE. */
  async checkpoint(which: "checkpoint" | "cosigned"): Promise<string | undefined> {
    return await this.#database.get(CHECKPOINT + which);
  }

  /** Whether there is a first leaf. @throws {UnavailableError} E_STORAGE. */
  async hasLeaves(): Promise<boolean> {
    return (await this.#database.get(leafKey(0))) !== undefined;
  }

  /** `count` leaves from the one at `first` on, which must be there. @throws {UnavailableError} E_STORAGE. */
  async leaves(first: number, count: number): Promise<Leaf[]> {
    const keys = Array.from({ length: count }, (_, at) => leafKey(first + at));
    const texts = await this.#database.getMany(keys);
    return texts.map((text) => parseLogEntry(LEAVES, text));
  }

  /** The hashes of nodes that must be there, 32 bytes each, in the same order. @throws {UnavailableError} E_STORAGE. */
  async hashes(ids: readonly NodeId[]): Promise<Uint8Array[]> {
    const texts = await this.#database.getMany(ids.map(hashKey));
    return ids.map(({ level }, at) =>
      level === 0
        ? leafHash(this.#suite, encodeLeaf(parseLogEntry(LEAVES, texts[at])))
        : parseLogEntry(NODES, texts[at]),
    );
  }

  /** Those of these nodes of the map that are there, as they were at one moment. @throws {UnavailableError} E_STORAGE. */
  async mapNodes(paths: readonly string[]): Promise<[string, MapNode][]> {
    const texts = await this.#database.getMany(paths.map((path) => MAP_NODE + path));
    return paths.flatMap((path, at) => {
      const text = texts[at];
      return text === undefined ? [] : [[path, parseLogEntry(MAP, text)]];
    });
  }
}

export function putLeaf(index: number, leaf: Leaf): Operation {
  return { type: "put", key: leafKey(index), value: base64Of(encodeLeaf(leaf)) };
}

/** Nothing for a leaf's own hash. */
export function putNode(node: TreeNode): Operation[] {
  return node.level === 0 ? [] : [{ type: "put", key: hashKey(node), value: base64Of(node.hash) }];
}

export function putMapNode(path: string, node: MapNode): Operation {
  return { type: "put", key: MAP_NODE + path, value: base64Of(encodeMapNode(node)) };
}

/** Another one than `before` there (undefined: none) is never overwritten: the log has one history, whoever writes. */
export function replaceCheckpoint(before: string | undefined, value: string): Operation {
  return { type: "replace", key: `${CHECKPOINT}checkpoint`, before, value };
}

export function putCosigned(value: string): Operation {
  return { type: "put", key: `${CHECKPOINT}cosigned`, value };
}

interface LogTable<T> {
  readonly prefix: `${string}:`;
  /** @throws {SshnpError} for a text that none of our values has. */
  readonly parse: (text: string) => T;
}

const LEAF = "log-leaf:";
const NODE = "log-node:";
const MAP_NODE = "log-map:";
const CHECKPOINT = "log:";

const LEAVES: LogTable<Leaf> = { prefix: LEAF, parse: (text) => parseLeaf(fromBase64(text)) };
const NODES: LogTable<Uint8Array> = { prefix: NODE, parse: (text) => fromBase64(text, 32) };
const MAP: LogTable<MapNode> = { prefix: MAP_NODE, parse: (text) => parseMapNode(fromBase64(text, 65)) };

/** Those whose entries are taken apart here, for whoever checks what may stand in one; checkpoints are notes. */
export const LOG_TABLES: readonly LogTable<unknown>[] = [LEAVES, NODES, MAP];

/** The value of an entry. @throws {UnavailableError} E_STORAGE when there is none, or none that was written here. */
export function parseLogEntry<T>({ prefix, parse }: LogTable<T>, text: string | undefined): T {
  try {
    if (text !== undefined) return parse(text);
  } catch (cause) {
    if (!(cause instanceof SshnpError)) throw cause;
    throw damaged(`a ${prefix.slice(0, -1)} entry`, cause);
  }
  throw damaged(`a ${prefix.slice(0, -1)} entry is missing`);
}

/** What is read of the log is not what was written. */
export function damaged(what: string, cause?: unknown): UnavailableError {
  return new UnavailableError("E_STORAGE", `The store is damaged (${what}).`, cause === undefined ? {} : { cause });
}

function leafKey(index: number): string {
  return LEAF + index.toString(16).padStart(14, "0");
}

/** By Buffer, as a statement of a large directory takes some twenty rows. */
function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}

/** Where the hash of a node is read, or for a leaf's what it is made from. */
function hashKey({ level, index }: NodeId): string {
  if (level === 0) return leafKey(index);
  return `${NODE}${String(level).padStart(2, "0")}:${index.toString(16).padStart(14, "0")}`;
}
