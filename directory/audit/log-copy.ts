import { equalBytes, hex } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SecurityError } from "../../keys/errors.ts";
import type { Checkpoint, SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { parseLeaf } from "../../protocol/log/leaf.ts";
import { TILE_WIDTH } from "../../protocol/log/tiles.ts";
import { Frontier, leafHash } from "../../protocol/log/tree.ts";

/** Where a log is read. */
export interface LogSource {
  /** The newest one, whose signature was verified. */
  checkpoint(): Promise<SignedCheckpoint>;
  /** The bytes of leaves that lie in one tile; nothing of them is verified. `size`: of the checkpoint that has them. */
  leaves(first: number, count: number, size: number): Promise<readonly Uint8Array[]>;
}

/** A leaf about the audit of a directory. */
export interface AnchorLeaf {
  readonly index: number;
  /** SHA-256 of the line in hex. */
  readonly hash: string;
}

const LEAF = 33;
const STATEMENT = 1;
const OTHER = 2;

/** All leaves of a log under a checkpoint, 33 bytes each in memory. */
export class LogCopy {
  readonly checkpoint: SignedCheckpoint;
  /** By the directory in hex, in the order of the log. */
  readonly anchors: ReadonlyMap<string, readonly AnchorLeaf[]>;
  readonly #tiles: readonly Uint8Array[];

  private constructor(
    checkpoint: SignedCheckpoint,
    tiles: readonly Uint8Array[],
    anchors: ReadonlyMap<string, readonly AnchorLeaf[]>,
  ) {
    this.checkpoint = checkpoint;
    this.#tiles = tiles;
    this.anchors = anchors;
  }

  /**
   * Reads the whole log, and holds it against its checkpoint and against one that was seen before.
   * @throws {SecurityError} E_LOG when it is not that log, or has gone back; {PeerError} E_PROTOCOL for what is no leaf; as `source`.
   */
  static async read(
    suite: Pick<CipherSuite, "sha256">,
    source: LogSource,
    { seen, signal }: { readonly seen?: Checkpoint | undefined; readonly signal: AbortSignal },
  ): Promise<LogCopy> {
    const checkpoint = await source.checkpoint();
    const { size } = checkpoint;
    if (seen !== undefined && seen.size > size) {
      throw broken(`The log has ${size} entries, and had ${seen.size} when it was seen before: it was put back.`);
    }
    const tiles: Uint8Array[] = [];
    const anchors = new Map<string, AnchorLeaf[]>();
    let frontier = Frontier.EMPTY;
    for (let first = 0; first < size; first += TILE_WIDTH) {
      signal.throwIfAborted();
      const tile = new Uint8Array(LEAF * TILE_WIDTH);
      for (const [at, bytes] of (await source.leaves(first, Math.min(TILE_WIDTH, size - first), size)).entries()) {
        const leaf = parseLeaf(bytes);
        tile[at * LEAF] = leaf.type === "statement" ? STATEMENT : OTHER;
        tile.set(leaf.hash, at * LEAF + 1);
        if (leaf.type === "audit") {
          const directory = hex(leaf.directory);
          const known = anchors.get(directory) ?? [];
          if (known.length === 0) anchors.set(directory, known);
          known.push({ index: first + at, hash: hex(leaf.hash) });
        }
        ({ frontier } = frontier.append(suite, leafHash(suite, bytes)));
        if (frontier.size === seen?.size && !equalBytes(frontier.root(suite), seen.root)) {
          throw broken("The log is another one than was seen before.");
        }
      }
      tiles.push(tile);
    }
    if (frontier.size !== size || !equalBytes(frontier.root(suite), checkpoint.root)) {
      throw broken("The log's entries are not those that its checkpoint says.");
    }
    return new LogCopy(checkpoint, tiles, anchors);
  }

  /** The hash of the statement at `index` in hex; undefined when there is none. */
  statementAt(index: number): string | undefined {
    const tile = this.#tiles[Math.floor(index / TILE_WIDTH)];
    const at = (index % TILE_WIDTH) * LEAF;
    return tile?.[at] === STATEMENT ? hex(tile.subarray(at + 1, at + LEAF)) : undefined;
  }
}

function broken(fact: string): SecurityError {
  return new SecurityError("E_LOG", fact, {
    next: "Keep both checkpoints: they show what the directory's log has said. Ask whoever runs it.",
  });
}
