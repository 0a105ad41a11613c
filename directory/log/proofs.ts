import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { LOG_TREE_PROOFS_KEPT } from "../../protocol/limits.ts";
import { type MapProof, subjectKey } from "../../protocol/log/map.ts";
import type { LogProof } from "../../protocol/log/proof.ts";
import { type NodeId, planConsistency, planInclusion } from "../../protocol/log/tree.ts";
import { RecentValues } from "./recent-values.ts";
import type { LogRows } from "./rows.ts";
import type { LogState } from "./state.ts";
import { loadMap } from "./stored-map.ts";

/** Proofs of what the log holds, made of its rows. */
export class LogProofs {
  readonly #suite: CipherSuite;
  readonly #rows: LogRows;
  readonly #treeProofs = new RecentValues<readonly Uint8Array[]>(LOG_TREE_PROOFS_KEPT);

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
    const map = await loadMap(this.#suite, this.#rows, headsRoot, keys);
    return subjects.map((subject) => {
      const proof = known.get(subject) ?? map.prove(subjectKey(this.#suite, subject));
      mapProofs.put(subject, proof);
      return proof;
    });
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
