import { utf8 } from "../../../keys/bytes.ts";
import type { CipherSuite } from "../../../keys/cipher-suite.ts";
import { Ed25519PrivateKey } from "../../../keys/ed25519.ts";
import { type LogKey, signCheckpoint } from "../../../protocol/log/checkpoint.ts";
import { cosign, type Witness, withCosignatures } from "../../../protocol/log/cosignature.ts";
import { encodeLeaf } from "../../../protocol/log/leaf.ts";
import { EMPTY, MapRows, subjectKey } from "../../../protocol/log/map.ts";
import type { MapNode } from "../../../protocol/log/map-node.ts";
import type { LogProof } from "../../../protocol/log/proof.ts";
import { Frontier, leafHash, type NodeId, planConsistency, planInclusion } from "../../../protocol/log/tree.ts";

/** A whole log in memory, honest or not as it is told, for tests of those who verify. */
export class MemoryLog {
  readonly suite: CipherSuite;
  readonly #key: Ed25519PrivateKey;
  readonly log: LogKey;
  #nodes = new Map<string, Uint8Array>();
  #frontier = Frontier.EMPTY;
  #rows = new Map<string, MapNode>();
  headsRoot = EMPTY;

  constructor(suite: CipherSuite, seed = 1, origin = "np.example.org:7800/log") {
    this.suite = suite;
    this.#key = Ed25519PrivateKey.parse(suite, new Uint8Array(32).fill(seed));
    this.log = { origin, publicKey: this.#key.publicKey };
  }

  get size(): number {
    return this.#frontier.size;
  }

  /** Another log with the same key and the same past. */
  fork(): MemoryLog {
    const other = new MemoryLog(this.suite, this.#key.secretBytes()[0], this.log.origin);
    other.#nodes = new Map(this.#nodes);
    other.#frontier = this.#frontier;
    other.#rows = new Map(this.#rows);
    other.headsRoot = this.headsRoot;
    return other;
  }

  /** Adds a statement, gives its hash; the map learns of it unless it is `hidden`. */
  add(subject: string, text: string, hidden = false): Uint8Array {
    const hash = this.suite.sha256(utf8(text));
    this.append(encodeLeaf({ type: "statement", hash }));
    if (!hidden) this.put([{ key: subjectKey(this.suite, subject), value: hash }]);
    return hash;
  }

  put(entries: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[]): void {
    const { root, rows } = new MapRows(this.suite, this.headsRoot, this.#rows).update(entries);
    for (const [path, row] of rows) this.#rows.set(path, row);
    this.headsRoot = root;
  }

  append(leaf: Uint8Array): void {
    const { frontier, nodes } = this.#frontier.append(this.suite, leafHash(this.suite, leaf));
    for (const node of nodes) this.#nodes.set(`${node.level}/${node.index}`, node.hash);
    this.#frontier = frontier;
  }

  /** The signed checkpoint with a heads leaf at the end, cosigned by `witnesses` at their times (s). */
  publish(witnesses: readonly (readonly [Ed25519PrivateKey, Witness, number])[] = []): string {
    this.append(encodeLeaf({ type: "heads", hash: this.headsRoot }));
    return this.checkpoint(witnesses);
  }

  checkpoint(witnesses: readonly (readonly [Ed25519PrivateKey, Witness, number])[] = []): string {
    const root = this.#frontier.root(this.suite);
    const signed = signCheckpoint(this.suite, this.#key, { origin: this.log.origin, size: this.size, root });
    return withCosignatures(
      signed,
      witnesses.map(([key, { name }, seconds]) => cosign(this.suite, key, name, signed, seconds)),
    );
  }

  /** The bundle under `checkpoint`, which must be of the tree as it is now. */
  prove(checkpoint: string, since: number, subjects: readonly string[] = []): LogProof {
    const read = ({ level, index }: NodeId): Uint8Array => this.#nodes.get(`${level}/${index}`) ?? new Uint8Array(0);
    const inclusion = planInclusion(this.size - 1, this.size);
    const consistency = since === 0 || since > this.size ? undefined : planConsistency(since, this.size);
    const map = new MapRows(this.suite, this.headsRoot, this.#rows);
    return {
      checkpoint,
      headsRoot: this.headsRoot,
      inclusion: inclusion.complete(this.suite, inclusion.nodes.map(read)),
      since,
      consistency: consistency?.complete(this.suite, consistency.nodes.map(read)) ?? [],
      subjects: subjects.map((subject) => map.prove(subjectKey(this.suite, subject))),
    };
  }
}
