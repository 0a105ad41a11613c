import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { PeerError, SecurityError } from "../../keys/errors.ts";
import { LOG_MAP_PROOFS_KEPT } from "../../protocol/limits.ts";
import { openCheckpoint, type SignedCheckpoint, signCheckpoint } from "../../protocol/log/checkpoint.ts";
import { encodeLeaf, type Leaf } from "../../protocol/log/leaf.ts";
import { EMPTY, type MapProof } from "../../protocol/log/map.ts";
import { Frontier, leafHash, planInclusion, verifyInclusion } from "../../protocol/log/tree.ts";
import type { Operation } from "../database.ts";
import { RecentValues } from "../../keys/recent-values.ts";
import { damaged, type LogRows, putLeaf, putNode, replaceCheckpoint } from "./rows.ts";
import { loadMap } from "./stored-map.ts";

/** The log at one checkpoint. */
export interface LogState {
  readonly frontier: Frontier;
  /** Root of the map, which is the last leaf, 32 bytes. */
  readonly headsRoot: Uint8Array;
  readonly checkpoint: SignedCheckpoint;
  /** The checkpoint as the log signed it, with no cosignature. */
  readonly signed: string;
  /** Proofs under this root, by subject. */
  readonly mapProofs: RecentValues<MapProof>;
}

export interface LogIdentity {
  readonly suite: CipherSuite;
  /** The log key, which signs every checkpoint. */
  readonly privateKey: Ed25519PrivateKey;
  readonly origin: string;
}

/**
 * The log as it is on disk; undefined when there is none. Checkpoint, right edge, last leaf and the top of the map must be of one
 * log. @throws {UnavailableError} E_STORAGE when they are not.
 */
export async function readState(identity: LogIdentity, rows: LogRows): Promise<LogState | undefined> {
  const text = await rows.checkpoint("checkpoint");
  if (text === undefined) {
    if (await rows.hasLeaves()) throw damaged("the checkpoint of its log is missing");
    return undefined;
  }
  const { suite } = identity;
  const checkpoint = open(identity, text);
  if (!("text" in checkpoint)) throw damaged("the checkpoint of its log is not by this directory", checkpoint.error);
  const { size, root } = checkpoint;
  const frontier = Frontier.of(size, await rows.hashes(Frontier.idsOf(size)));
  if (!equalBytes(frontier.root(suite), root)) throw damaged("its log is not the one that its checkpoint says");
  const [last] = await rows.leaves(size - 1, 1);
  if (last?.type !== "heads") throw damaged("its log does not end with a heads leaf");
  const plan = planInclusion(size - 1, size);
  const proof = plan.complete(suite, await rows.hashes(plan.nodes));
  try {
    verifyInclusion(suite, { index: size - 1, size, leafHash: leafHash(suite, encodeLeaf(last)), root, proof });
    await loadMap(suite, rows, last.hash, [EMPTY]);
  } catch (error) {
    throw error instanceof SecurityError ? damaged("the end of its log, or its map", error) : error;
  }
  const cosigned = open(identity, (await rows.checkpoint("cosigned")) ?? "");
  const isOfNewest = "text" in cosigned && cosigned.size === size && equalBytes(cosigned.root, root);
  return {
    frontier,
    headsRoot: last.hash,
    checkpoint: isOfNewest ? cosigned : checkpoint,
    signed: text,
    mapProofs: new RecentValues(LOG_MAP_PROOFS_KEPT),
  };
}

/** The log with these leaves, and a heads leaf after them, as its next state; and the rows that this takes. */
export function grow(
  { suite, privateKey, origin }: LogIdentity,
  { frontier: before, signed }: Pick<LogState, "frontier"> & Partial<Pick<LogState, "signed">>,
  leaves: readonly Leaf[],
  headsRoot: Uint8Array,
): { readonly state: LogState; readonly operations: Operation[] } {
  const operations: Operation[] = [];
  let frontier = before;
  for (const leaf of [...leaves, { type: "heads", hash: headsRoot } as const]) {
    operations.push(putLeaf(frontier.size, leaf));
    const grown = frontier.append(suite, leafHash(suite, encodeLeaf(leaf)));
    operations.push(...grown.nodes.flatMap((node) => putNode(node)));
    frontier = grown.frontier;
  }
  const checkpoint = { origin, size: frontier.size, root: frontier.root(suite) };
  const text = signCheckpoint(suite, privateKey, checkpoint);
  operations.push(replaceCheckpoint(signed, text));
  return {
    state: {
      frontier,
      headsRoot,
      checkpoint: { ...checkpoint, text },
      signed: text,
      mapProofs: new RecentValues(LOG_MAP_PROOFS_KEPT),
    },
    operations,
  };
}

/** A checkpoint of this log, or why it is none. */
function open(
  { suite, privateKey, origin }: LogIdentity,
  text: string,
): SignedCheckpoint | { readonly error: unknown } {
  try {
    return openCheckpoint(suite, text, { origin, publicKey: privateKey.publicKey });
  } catch (error) {
    if (error instanceof SecurityError || error instanceof PeerError) return { error };
    throw error;
  }
}
