import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SecurityError } from "../../keys/errors.ts";
import { LOG_TREE_PROOFS_KEPT, MAP_TOP_DEPTHS } from "../../protocol/limits.ts";
import type { HashedNode } from "../../protocol/log/map-node.ts";
import { type MapProof, type MapRows, subjectKey } from "../../protocol/log/map.ts";
import { type LogProof, verifySubject } from "../../protocol/log/proof.ts";
import { type NodeId, planConsistency, planInclusion } from "../../protocol/log/tree.ts";
import { RecentValues } from "../../keys/recent-values.ts";
import type { LogRows } from "./rows.ts";
import type { LogState } from "./state.ts";
import { loadMap } from "./stored-map.ts";

/** What a map proof has been found to prove. */
interface Proved {
  readonly headsRoot: Uint8Array;
  readonly subject: string;
  readonly newest: Uint8Array | undefined;
}

/** Proofs of what the log holds, made of its rows. */
export class LogProofs {
  readonly #suite: CipherSuite;
  readonly #rows: LogRows;
  readonly #treeProofs = new RecentValues<readonly Uint8Array[]>(LOG_TREE_PROOFS_KEPT);
  readonly #proved = new WeakMap<MapProof, Proved>();
  /** Of the map's top, which the ways of all subjects have in common. */
  readonly #hashed = new RecentValues<HashedNode>(2 ** MAP_TOP_DEPTHS);

  constructor(suite: CipherSuite, rows: LogRows) {
    this.#suite = suite;
    this.#rows = rows;
  }

  /** What proves the newest statements of `subjects` under this state, to whoever knows the log of size `since`. @throws {SecurityError} E_LOG when the map is another one by now. */
  async prove(state: LogState, subjects: readonly string[], since: number): Promise<LogProof> {
    const { headsRoot, checkpoint } = state;
    const { size, text } = checkpoint;
    const known = since <= size ? since : 0;
    const plan = planInclusion(size - 1, size);
    const [inclusion, consistency, proofs] = await Promise.all([
      this.#treeProof(`${size}`, plan.nodes, (hashes) => plan.complete(this.#suite, hashes)),
      this.consistency(known, size),
      this.#mapProofs(state, subjects),
    ]);
    return { checkpoint: text, headsRoot, inclusion, since: known, consistency, subjects: proofs };
  }

  /** Whether a proof of these subjects proves these hashes to be the newest, or with undefined that there is none. */
  hold(
    { headsRoot, subjects: proofs }: Pick<LogProof, "headsRoot" | "subjects">,
    subjects: readonly string[],
    hashes: readonly (Uint8Array | undefined)[],
  ): boolean {
    try {
      for (const [at, proof] of proofs.entries()) {
        this.#verify({ headsRoot, subject: subjects[at] ?? "", newest: hashes[at] }, proof);
      }
      return true;
    } catch (error) {
      if (error instanceof SecurityError) return false;
      throw error;
    }
  }

  /** One proof serves all who ask about its subject under one state, and is looked through once. */
  #verify(claim: Proved, proof: MapProof): void {
    const known = this.#proved.get(proof);
    if (known !== undefined && isSame(known, claim)) return;
    verifySubject(this.#suite, claim.headsRoot, claim.subject, claim.newest, proof);
    this.#proved.set(proof, claim);
  }

  /** Nothing from 0 on. @throws {UnavailableError} E_STORAGE. */
  async consistency(oldSize: number, newSize: number): Promise<readonly Uint8Array[]> {
    if (oldSize === 0) return [];
    const plan = planConsistency(oldSize, newSize);
    return await this.#treeProof(`${oldSize} ${newSize}`, plan.nodes, (hashes) => plan.complete(this.#suite, hashes));
  }

  /** @throws {SecurityError} E_LOG when the map is another one by now. */
  async #mapProofs({ headsRoot, mapProofs }: LogState, subjects: readonly string[]): Promise<MapProof[]> {
    const known = new Map(subjects.map((subject) => [subject, mapProofs.get(subject)]));
    const keys = subjects
      .filter((subject) => known.get(subject) === undefined)
      .map((subject) => subjectKey(this.#suite, subject));
    const map = await loadMap(this.#suite, this.#rows, headsRoot, keys, this.#hashed);
    return subjects.map((subject) => {
      const proof = known.get(subject) ?? this.#prove(map, headsRoot, subject);
      mapProofs.put(subject, proof);
      return proof;
    });
  }

  /** Each row on the way was found to have the hash that its parent says, so what the proof proves is known. */
  #prove(map: MapRows, headsRoot: Uint8Array, subject: string): MapProof {
    const key = subjectKey(this.#suite, subject);
    const proof = map.prove(key);
    this.#proved.set(proof, { headsRoot, subject, newest: map.valueOf(key) });
    return proof;
  }

  /** Proofs within trees stay right for ever, so those of any size are kept. */
  async #treeProof(
    name: string,
    nodes: readonly NodeId[],
    complete: (hashes: readonly Uint8Array[]) => Uint8Array[],
  ): Promise<readonly Uint8Array[]> {
    const known = this.#treeProofs.get(name);
    if (known !== undefined) return known;
    const proof = complete(await this.#rows.hashes(nodes));
    this.#treeProofs.put(name, proof);
    return proof;
  }
}

function isSame(a: Proved, b: Proved): boolean {
  if (a.subject !== b.subject || !equalBytes(a.headsRoot, b.headsRoot)) return false;
  return a.newest === undefined || b.newest === undefined ? a.newest === b.newest : equalBytes(a.newest, b.newest);
}
