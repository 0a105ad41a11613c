import { utf8 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import type { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import type { SignedText } from "../../keys/signed-text.ts";
import { type LogKey, signCheckpoint } from "../../protocol/log/checkpoint.ts";
import { encodeLeaf } from "../../protocol/log/leaf.ts";
import { EMPTY, MapRows, subjectKey } from "../../protocol/log/map.ts";
import type { MapNode } from "../../protocol/log/map-node.ts";
import { encodeLogProof, type LogProof } from "../../protocol/log/proof.ts";
import {
  Frontier,
  leafHash,
  type NodeId,
  planConsistency,
  planInclusion,
  type ProofPlan,
} from "../../protocol/log/tree.ts";
import { subjectOf } from "../../protocol/statement-fields.ts";

/** A directory's log in memory, with real proofs, for tests that have no directory. A copy may go on otherwise, and so lie. */
export class StatementLog {
  readonly key: LogKey;
  readonly #suite: CipherSuite;
  readonly #privateKey: Ed25519PrivateKey;
  readonly #nodes = new Map<string, Uint8Array>();
  readonly #rows = new Map<string, MapNode>();
  readonly #newest = new Map<string, string>();
  #headsRoot: Uint8Array = EMPTY;
  #frontier = Frontier.EMPTY;

  constructor(suite: CipherSuite, privateKey: Ed25519PrivateKey, origin: string) {
    this.key = { origin, publicKey: privateKey.publicKey };
    this.#suite = suite;
    this.#privateKey = privateKey;
  }

  get size(): number {
    return this.#frontier.size;
  }

  /** A signed note of the tree as it is. */
  get checkpoint(): string {
    const root = this.#frontier.root(this.#suite);
    return signCheckpoint(this.#suite, this.#privateKey, { origin: this.key.origin, size: this.size, root });
  }

  /** Appends statements, each the newest of its subject from then on, and the heads after them. */
  add(...statements: readonly Pick<SignedText, "text">[]): this {
    const entries = statements.map((statement) => {
      const hash = this.#suite.sha256(utf8(statement.text));
      this.#append(encodeLeaf({ type: "statement", hash }));
      this.#newest.set(subjectOf(statement), statement.text);
      return { key: subjectKey(this.#suite, subjectOf(statement)), value: hash };
    });
    const { root, rows } = new MapRows(this.#suite, this.#headsRoot, this.#rows).update(entries);
    for (const [path, node] of rows) this.#rows.set(path, node);
    this.#headsRoot = root;
    this.#append(encodeLeaf({ type: "heads", hash: root }));
    return this;
  }

  /** Appends those of them that are not the newest of their subject yet, if any. */
  hold(...statements: readonly Pick<SignedText, "text">[]): this {
    const fresh = statements.filter((statement) => this.#newest.get(subjectOf(statement)) !== statement.text);
    return fresh.length === 0 && this.size > 0 ? this : this.add(...fresh);
  }

  /** What proves the newest statements on these subjects to somebody whose last checkpoint has size `since`; 0: who has none. */
  proof(subjects: readonly string[], since = 0): LogProof {
    const map = new MapRows(this.#suite, this.#headsRoot, this.#rows);
    const isOlder = since > 0 && since < this.size;
    return {
      checkpoint: this.checkpoint,
      headsRoot: this.#headsRoot,
      inclusion: this.#complete(planInclusion(this.size - 1, this.size)),
      since,
      consistency: isOlder ? this.#complete(planConsistency(since, this.size)) : [],
      subjects: subjects.map((subject) => map.prove(subjectKey(this.#suite, subject))),
    };
  }

  /** The same, encoded. */
  prove(subjects: readonly string[], since = 0): Uint8Array {
    return encodeLogProof(this.proof(subjects, since));
  }

  /** Another log of the same key that has all that this one has. */
  copy(): StatementLog {
    const copy = new StatementLog(this.#suite, this.#privateKey, this.key.origin);
    for (const [id, hash] of this.#nodes) copy.#nodes.set(id, hash);
    for (const [path, node] of this.#rows) copy.#rows.set(path, node);
    for (const [subject, text] of this.#newest) copy.#newest.set(subject, text);
    copy.#headsRoot = this.#headsRoot;
    copy.#frontier = this.#frontier;
    return copy;
  }

  #append(leaf: Uint8Array): void {
    const { frontier, nodes } = this.#frontier.append(this.#suite, leafHash(this.#suite, leaf));
    for (const node of nodes) this.#nodes.set(idOf(node), node.hash);
    this.#frontier = frontier;
  }

  #complete(plan: ProofPlan): Uint8Array[] {
    return plan.complete(
      this.#suite,
      plan.nodes.map((node) => this.#nodes.get(idOf(node)) ?? new Uint8Array(0)),
    );
  }
}

function idOf({ level, index }: NodeId): string {
  return `${level} ${index}`;
}
