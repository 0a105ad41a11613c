import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { SecurityError } from "../../keys/errors.ts";
import type { KeyList } from "../../protocol/key-list.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { newestFirst, type Witness } from "../../protocol/log/cosignature.ts";
import type { MapProof } from "../../protocol/log/map.ts";
import { inWords } from "./log-words.ts";
import {
  LogEvidenceError,
  parseLogProof,
  refuseSplitView,
  type VerifiedHeads,
  verifyLogProof,
  verifySubject,
} from "../../protocol/log/proof.ts";
import { verifyConsistency } from "../../protocol/log/tree.ts";

/** What must be the newest statement on a subject: SHA-256 of its text; undefined: that there is none. */
export interface NewestClaim {
  readonly subject: string;
  readonly newest: Uint8Array | undefined;
}

/** Which witnesses an end demands. */
export interface WitnessDemand {
  readonly witnesses: readonly Witness[];
  /** How many of them must have cosigned. */
  readonly needed: number;
  /** ms; an older checkpoint is refused. */
  readonly maxAge: number;
}

export interface LogFollowerOptions {
  /** The newest checkpoint seen before, a signed note. */
  readonly checkpoint?: string | undefined;
  /** The newest time, ms, that each witness has said before, by its key in base64. */
  readonly witnessed?: ReadonlyMap<string, number> | undefined;
  readonly demand?: WitnessDemand | undefined;
  /** Told of every checkpoint that is newer, or that a witness has cosigned later, to remember both. */
  readonly onCheckpoint?: ((checkpoint: SignedCheckpoint, log: LogKey) => void) | undefined;
  /** Told of two signed notes that show that the log lies, to keep them. */
  readonly onEvidence?: ((notes: readonly [string, string]) => void) | undefined;
  /** Told of a peer's checkpoint of another size than this party's newest: it is to be proved to be of the same log. */
  readonly onOther?: ((checkpoint: SignedCheckpoint) => void) | undefined;
}

/** Asks for what proves that the log of `newSize` begins with the one of `oldSize`. */
export type AskConsistency = (oldSize: number, newSize: number) => Promise<readonly Uint8Array[]>;

/** A proof whose checkpoint holds; what it proves of which subject is yet to be asked. */
export class ProvedHeads {
  readonly #suite: CipherSuite;
  readonly #heads: VerifiedHeads;
  readonly #proofs: readonly MapProof[];

  constructor(suite: CipherSuite, heads: VerifiedHeads, proofs: readonly MapProof[]) {
    this.#suite = suite;
    this.#heads = heads;
    this.#proofs = proofs;
  }

  /** Demands that all of them are the newest; the proofs are of these subjects, in this order. @throws {SecurityError} E_LOG. */
  demand(claims: readonly NewestClaim[]): void {
    if (claims.length !== this.#proofs.length) {
      throw inWords(new SecurityError("E_LOG", "it proves other statements than the directory gives"));
    }
    try {
      for (const [i, { subject, newest }] of claims.entries()) {
        const proof = this.#proofs[i];
        if (proof !== undefined) verifySubject(this.#suite, this.#heads, subject, newest, proof);
      }
    } catch (error) {
      throw inWords(error);
    }
  }
}

/**
 * Follows a directory's log as one party sees it, from checkpoint to checkpoint: each must be consistent with the one
 * before, so that the log cannot go back, or show this party another history.
 */
export class LogFollower {
  readonly #suite: CipherSuite;
  readonly #options: LogFollowerOptions;
  readonly #demand: WitnessDemand;
  /** The note from before, until the log's key is known and it can be verified. */
  #note: string | undefined;
  #last: SignedCheckpoint | undefined;
  readonly #witnessed: Map<string, number>;

  constructor(suite: CipherSuite, options: LogFollowerOptions = {}) {
    this.#suite = suite;
    this.#options = options;
    this.#demand = options.demand ?? { witnesses: [], needed: 0, maxAge: 0 };
    this.#note = options.checkpoint;
    this.#witnessed = new Map(options.witnessed);
  }

  /** Size of the newest checkpoint seen; 0 none. `list` has the log's key. @throws {SecurityError} E_LOG. */
  size(list: KeyList): number {
    return this.#lastOf(logOf(list))?.size ?? 0;
  }

  /** The newest checkpoint seen, a signed note; empty: none. */
  get checkpoint(): string {
    return this.#last?.text ?? this.#note ?? "";
  }

  /** The newest time, ms, that each witness has said, by its key in base64. */
  get witnessed(): ReadonlyMap<string, number> {
    return this.#witnessed;
  }

  /**
   * A time that has come, ms, unless as many witnesses lie as are demanded: the newest that so many of them have said of any
   * checkpoint. 0: they have not.
   */
  get witnessTime(): number {
    const keys = new Set(this.#demand.witnesses.map(({ publicKey }) => publicKey.toJSON()));
    const times = [...this.#witnessed].filter(([key]) => keys.has(key)).map(([, time]) => time);
    return newestFirst(times)[this.#demand.needed - 1] ?? 0;
  }

  /**
   * Takes an encoded proof, to be called in the order in which proofs come. `list` has the log's key. How long ago witnesses
   * have cosigned goes by the latest of `now` (this machine's clock), `directoryTime` (both ms) and what witnesses have said
   * before: whoever sets one of them back makes nothing look newer.
   * @throws {SecurityError} E_LOG, as {LogEvidenceError} where it can be shown to others; E_WITNESS; {PeerError} E_PROTOCOL.
   */
  accept(list: KeyList, bytes: Uint8Array, now: number, directoryTime: number = now): ProvedHeads {
    const log = logOf(list);
    const proof = parseLogProof(bytes);
    const last = this.#watched(() => this.#lastOf(log));
    const latest = Math.max(now, directoryTime, this.witnessTime);
    const heads = this.#watched(() => verifyLogProof(this.#suite, proof, { log, ...this.#demand }, last, latest));
    const { checkpoint } = heads;
    const isNewer = last === undefined || checkpoint.size > last.size;
    if (isNewer) this.#last = checkpoint;
    const later = [...heads.witnessTimes].filter(([key, time]) => time > (this.#witnessed.get(key) ?? -1));
    for (const [key, time] of later) this.#witnessed.set(key, time);
    if (isNewer || later.length > 0) this.#options.onCheckpoint?.(checkpoint, log);
    return new ProvedHeads(this.#suite, heads, proof.subjects);
  }

  /**
   * Compares what a peer has seen of the same log with what this party has seen. Of another size it says nothing yet, and
   * is to be proved ({@link LogFollower.prove}).
   * @throws {LogEvidenceError} when the log showed both another tree of one size.
   */
  compare(list: KeyList, note: string): void {
    const log = logOf(list);
    const last = this.#lastOf(log);
    if (last === undefined || note === "") return;
    let other: SignedCheckpoint;
    try {
      other = openCheckpoint(this.#suite, note, log);
    } catch {
      return; // not of this log: nothing that a peer says of another one is ours to judge
    }
    this.#watched(() => refuseSplitView(last, other));
    if (other.size !== last.size) this.#options.onOther?.(other);
  }

  /**
   * Demands that two checkpoints are of one growing log.
   * @throws {LogEvidenceError} E_LOG when there are two trees of one size; {SecurityError} E_LOG when it is not proved; as `ask`.
   */
  async prove(list: KeyList, notes: readonly [string, string], ask: AskConsistency): Promise<void> {
    const log = logOf(list);
    const [one, other] = [openCheckpoint(this.#suite, notes[0], log), openCheckpoint(this.#suite, notes[1], log)];
    this.#watched(() => refuseSplitView(one, other));
    if (one.size === other.size) return;
    const [old, young] = one.size < other.size ? [one, other] : [other, one];
    const proof = await ask(old.size, young.size);
    const claim = { oldSize: old.size, oldRoot: old.root, newSize: young.size, newRoot: young.root, proof };
    verifyConsistency(this.#suite, claim);
  }

  #lastOf(log: LogKey): SignedCheckpoint | undefined {
    if (this.#note !== undefined) {
      this.#last = openCheckpoint(this.#suite, this.#note, log);
      this.#note = undefined;
    }
    return this.#last;
  }

  #watched<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (error instanceof LogEvidenceError) this.#options.onEvidence?.(error.evidence);
      throw inWords(error);
    }
  }
}

function logOf({ origin, log }: KeyList): LogKey {
  return { origin, publicKey: log };
}
