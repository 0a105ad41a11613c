import { equalBytes } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { assert, SecurityError, UnavailableError } from "../../keys/errors.ts";
import { LOG_FOLLOWED } from "../../protocol/limits.ts";
import { type Checkpoint, openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { withCosignatures } from "../../protocol/log/cosignature.ts";
import { type AuditLeaf, encodeLeaf, type Leaf } from "../../protocol/log/leaf.ts";
import { EMPTY, subjectKey } from "../../protocol/log/map.ts";
import type { LogProof } from "../../protocol/log/proof.ts";
import { Frontier, type NodeId } from "../../protocol/log/tree.ts";
import type { AuditEvent } from "../audit/events.ts";
import type { Operation } from "../database.ts";
import { areLogged, type LogAudit, type LogEntry, type LoggedStatement } from "./entries.ts";
import { LogHead } from "./head.ts";
import { orDamaged, settingUp } from "./log-errors.ts";
import { LogProofs } from "./proofs.ts";
import { type LogDatabase, LogRows, putCosigned, putMapNode } from "./rows.ts";
import { grow, type LogIdentity, type LogState, readState } from "./state.ts";
import { loadMap } from "./stored-map.ts";

export type { LogEntry } from "./entries.ts";

export interface LogOptions extends LogIdentity {
  /** Where its rows are ({@link LogRows}), beside those of others. */
  readonly database: LogDatabase;
  /** Told of each checkpoint that follows another, once it is on disk. */
  readonly grown?: (checkpoint: SignedCheckpoint) => void;
  /** What a proof under this checkpoint is to wait for, if for anything: cosignatures, and not for long. */
  readonly pending?: (checkpoint: SignedCheckpoint) => Promise<void> | undefined;
  readonly audit?: () => LogAudit | undefined;
}

/**
 * The directory's transparency log: an RFC 6962 tree of leaves, and a map from every subject to its newest statement, whose
 * root is the last leaf of every tree that is signed. Checkpoints, leaves, nodes and map lie in the database; in memory is
 * the tree's right edge alone, and some proofs that were asked for.
 */
export class Log {
  readonly #options: LogOptions;
  readonly #rows: LogRows;
  readonly #proofs: LogProofs;
  readonly #head: LogHead;
  #turn: Promise<unknown> = Promise.resolve();
  #isAppending = false;
  /** Of an append that failed, and may be on disk all the same. */
  #doubtful: (() => Promise<void>) | undefined;
  #refreshing: Promise<void> | undefined;

  private constructor(options: LogOptions, rows: LogRows, state: LogState) {
    this.#options = options;
    this.#rows = rows;
    this.#proofs = new LogProofs(options.suite, rows);
    this.#head = new LogHead(options, rows, state);
  }

  /**
   * Opens the log in `database`; an empty one gets its first leaf, so that there always is a checkpoint.
   * @throws {SetupError} E_STORAGE when what is there is not a log with this key and origin, or is damaged.
   */
  static async open(options: LogOptions): Promise<Log> {
    const { suite, database } = options;
    const rows = new LogRows(suite, database);
    return await database.exclusively(async () => {
      const known = await settingUp(
        () => readState(options, rows),
        `Restore ${database.isShared ? "the database" : "the data folder"} from a backup. The log is never begun anew over what is there.`,
      );
      if (known !== undefined) return new Log(options, rows, known);
      const { state, operations } = grow(options, { frontier: Frontier.EMPTY }, [], EMPTY);
      await settingUp(
        () => database.write("acknowledged", operations),
        "Check the free space and whether the disk is writable, then run this again.",
      );
      return new Log(options, rows, state);
    });
  }

  /** The newest one, with the cosignatures that are known. */
  get checkpoint(): SignedCheckpoint {
    return this.#head.state.checkpoint;
  }

  /**
   * Logs statements, of which the last one counts for a subject, under one new checkpoint, together with the caller's own
   * operations: all of it is on disk when this returns, or none. Without entries the operations are written alone. Appends do not
   * overlap: the caller sees to that. `event` is what the audit calls it.
   * @throws {UnavailableError} E_STORAGE; the log is as it was then, and the next append may succeed.
   */
  async append(
    entries: readonly LogEntry[],
    operations: readonly Operation[],
    event: AuditEvent = "statements",
  ): Promise<void> {
    await this.#appending(() => this.#append(entries, operations, event));
  }

  /** Logs that an audit has a line, as {@link append} does; gives the leaf's index. @throws as append. */
  async anchor(leaf: AuditLeaf, operations: (index: number) => readonly Operation[]): Promise<number> {
    return await this.#appending(async () => {
      const { frontier, headsRoot } = await this.#settled();
      const { size } = frontier;
      await this.#grow([leaf], headsRoot, operations(size));
      return size;
    });
  }

  /**
   * Makes sure that the log is what is on disk: after an append that has failed, as a disk may have taken what it could not confirm,
   * and when other processes append as well. Whoever decides by what he reads and then appends does this first, in his turn.
   * @throws as append.
   */
  async settle(): Promise<void> {
    await this.#exclusively(() => this.#settled());
  }

  /** Takes notice of what other processes have appended, once for all who ask at a time. @throws {UnavailableError} E_STORAGE. */
  async refresh(): Promise<void> {
    if (!(await this.#head.hasGrown())) return;
    this.#refreshing ??= this.#follow().finally(() => (this.#refreshing = undefined));
    await this.#refreshing;
  }

  /**
   * What proves the newest statements of `subjects`, or that there are none, under the newest checkpoint, to somebody who
   * knows the one of size `since` (0: none). A `since` that this log has not reached is answered as 0, which the asker refuses.
   * A checkpoint that is about to be cosigned is waited for: proofs can be made under the newest checkpoint alone, and an end
   * that demands witnesses would refuse it without them. Appends go on meanwhile; if there was one, the next checkpoint is
   * waited for as well, with nothing appended, or no proof would ever be cosigned while the log grows faster than a witness.
   * @throws {UnavailableError} E_STORAGE.
   */
  async proof(subjects: readonly string[], since: number): Promise<LogProof> {
    const { pending, database } = this.#options;
    for (let attempt = 0; attempt < (database.isShared ? LOG_FOLLOWED : 1); attempt++) {
      try {
        await pending?.(this.#head.state.checkpoint);
        if (await this.#head.hasGrown()) await this.refresh();
        else if (pending?.(this.#head.state.checkpoint) === undefined) {
          return await this.#proofs.prove(this.#head.state, subjects, since);
        }
      } catch (error) {
        if (!(error instanceof SecurityError)) throw error;
        // An append has changed the map meanwhile; or it is damaged, which the last attempt tells.
      }
    }
    return await this.#inTurn(async () => {
      const { checkpoint } = await this.#settled();
      await pending?.(checkpoint);
      return await orDamaged(() => this.#proofs.prove(this.#head.state, subjects, since));
    });
  }

  /** Whether a proof of these subjects proves these hashes to be the newest, or with undefined that there is none. */
  proves(proof: LogProof, subjects: readonly string[], hashes: readonly (Uint8Array | undefined)[]): boolean {
    return this.#proofs.hold(proof, subjects, hashes);
  }

  /**
   * What proves that the tree of `newSize` begins with the one of `oldSize`; nothing from 0 on.
   * @throws {RangeError} unless oldSize <= newSize <= the newest; {UnavailableError} E_STORAGE.
   */
  async consistency(oldSize: number, newSize: number): Promise<readonly Uint8Array[]> {
    this.#demandSize(newSize);
    return await this.#proofs.consistency(oldSize, newSize);
  }

  /** The root that the log had at `size`, from 1 to the newest. @throws {RangeError}; {UnavailableError} E_STORAGE. */
  async rootAt(size: number): Promise<Uint8Array> {
    this.#demandSize(size);
    return Frontier.of(size, await this.#rows.hashes(Frontier.idsOf(size))).root(this.#suite);
  }

  /** Hashes of complete subtrees within the newest size, 32 bytes each. @throws {RangeError}; {UnavailableError} E_STORAGE. */
  async hashes(ids: readonly NodeId[]): Promise<Uint8Array[]> {
    for (const { level, index } of ids) this.#demandSize((index + 1) * 2 ** level);
    return await this.#rows.hashes(ids);
  }

  /** The bytes of `count` leaves from the one at `first` on. @throws {RangeError}; {UnavailableError} E_STORAGE. */
  async leaves(first: number, count: number): Promise<Uint8Array[]> {
    this.#demandSize(first + count);
    return (await this.#rows.leaves(first, count)).map((leaf) => encodeLeaf(leaf));
  }

  /**
   * Adds cosignature lines for `checkpoint`, each in place of an older one of its key, to what {@link checkpoint} gives from
   * then on; ignored unless it is the newest. They survive the process, and a power cut perhaps not.
   * @throws {PeerError} E_PROTOCOL when the checkpoint with these lines does not parse; {UnavailableError} E_STORAGE.
   */
  async withCosignatures(checkpoint: Checkpoint, lines: readonly string[]): Promise<void> {
    const { checkpoint: newest } = this.#head.state;
    if (checkpoint.size !== newest.size || !equalBytes(checkpoint.root, newest.root)) return;
    const { suite, origin, privateKey, database } = this.#options;
    const text = withCosignatures(newest.text, lines);
    this.#head.cosigned(openCheckpoint(suite, text, { origin, publicKey: privateKey.publicKey }));
    await database.write("kept", [putCosigned(text)]);
  }

  get #suite(): CipherSuite {
    return this.#options.suite;
  }

  async #appending<T>(action: () => Promise<T>): Promise<T> {
    assert(!this.#isAppending, "appends do not overlap");
    this.#isAppending = true;
    try {
      return await this.#exclusively(action);
    } finally {
      this.#isAppending = false;
    }
  }

  async #append(entries: readonly LogEntry[], operations: readonly Operation[], event: AuditEvent): Promise<void> {
    const { database } = this.#options;
    const audit = this.#options.audit?.();
    if (entries.length === 0) return await database.write("acknowledged", operations);
    const { frontier, headsRoot } = await this.#settled();
    const changes = entries.map(({ subject, hash }) => ({ key: subjectKey(this.#suite, subject), value: hash }));
    const { root, rows } = await orDamaged(async () => {
      const keys = changes.map(({ key }) => key);
      return (await loadMap(this.#suite, this.#rows, headsRoot, keys)).update(changes);
    });
    const mapRows = Array.from(rows, ([path, node]) => putMapNode(path, node));
    const statements = entries.map(({ subject, hash }, at) => ({ subject, hash, index: frontier.size + at }));
    const leaves = entries.map(({ hash }): Leaf => ({ type: "statement", hash }));
    const owed = audit?.owed(event, statements) ?? [];
    try {
      await this.#grow(leaves, root, [...operations, ...mapRows, ...owed]);
    } catch (error) {
      this.#doubtful = () => this.#tellIfLogged(event, statements);
      throw error;
    }
    audit?.logged(event, statements);
  }

  async #grow(leaves: readonly Leaf[], headsRoot: Uint8Array, operations: readonly Operation[]): Promise<void> {
    const { frontier, signed } = this.#head.state;
    const next = grow(this.#options, { frontier, signed }, leaves, headsRoot);
    try {
      await this.#options.database.write("acknowledged", [...operations, ...next.operations]);
    } catch (error) {
      this.#head.doubt();
      throw error;
    }
    this.#head.become(next.state);
  }

  async #settled(): Promise<LogState> {
    const state = await this.#head.settled();
    const doubtful = this.#doubtful;
    this.#doubtful = undefined;
    await doubtful?.();
    return state;
  }

  async #tellIfLogged(event: AuditEvent, statements: readonly LoggedStatement[]): Promise<void> {
    const { size } = this.#head.state.frontier;
    if (await areLogged(this.#rows, size, statements)) this.#options.audit?.()?.logged(event, statements);
  }

  #demandSize(size: number): void {
    if (!(size <= this.#head.state.frontier.size)) throw new RangeError("the log has not reached that size");
  }

  /** Reads what others have appended, without a turn as long as that goes well: they may append more meanwhile. */
  async #follow(): Promise<void> {
    for (let attempt = 0; attempt < LOG_FOLLOWED && !this.#head.isDoubtful; attempt++) {
      const before = await this.#rows.checkpoint("checkpoint");
      try {
        await this.#exclusively(() => this.#settled());
        return;
      } catch (error) {
        if (!(error instanceof UnavailableError) || (await this.#rows.checkpoint("checkpoint")) === before) throw error;
      }
    }
    await this.#inTurn(() => this.#settled());
  }

  /** With nothing appended meanwhile, by whomever. */
  #inTurn<T>(action: () => Promise<T>): Promise<T> {
    const { database } = this.#options;
    return database.isShared ? database.exclusively(() => this.#exclusively(action)) : this.#exclusively(action);
  }

  #exclusively<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
