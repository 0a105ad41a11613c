import { equalBytes } from "../../keys/bytes.ts";
import { UnavailableError } from "../../keys/errors.ts";
import type { SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { Frontier } from "../../protocol/log/tree.ts";
import { damaged, type LogDatabase, type LogRows } from "./rows.ts";
import { type LogIdentity, type LogState, readState } from "./state.ts";

interface Options extends LogIdentity {
  readonly database: LogDatabase;
  readonly grown?: (checkpoint: SignedCheckpoint) => void;
}

/** The newest state of the log, as far as this process knows it. Others may append as well where the database is shared. */
export class LogHead {
  readonly #options: Options;
  readonly #rows: LogRows;
  #state: LogState;
  /** A write has failed, and may be on disk all the same. */
  #isDoubtful = false;

  constructor(options: Options, rows: LogRows, state: LogState) {
    this.#options = options;
    this.#rows = rows;
    this.#state = state;
  }

  get state(): LogState {
    return this.#state;
  }

  /** The same with cosignatures. */
  cosigned(checkpoint: SignedCheckpoint): void {
    this.#state = { ...this.#state, checkpoint };
  }

  /** What comes after {@link state} is on disk. */
  become(state: LogState): void {
    this.#state = state;
    this.#options.grown?.(state.checkpoint);
  }

  /** Whether a write has failed, and may be on disk all the same. */
  get isDoubtful(): boolean {
    return this.#isDoubtful;
  }

  /** A write of what comes after it has failed. */
  doubt(): void {
    this.#isDoubtful = true;
  }

  /** Whether another process has appended. @throws {UnavailableError} E_STORAGE. */
  async hasGrown(): Promise<boolean> {
    const { isShared } = this.#options.database;
    return isShared && (await this.#rows.checkpoint("checkpoint")) !== this.#state.signed;
  }

  /**
   * The state on disk, read while nobody appends: a write that has failed is there all the same when the disk took it and only did
   * not say so. @throws {UnavailableError} E_STORAGE, also when what is there does not go on from what is known.
   */
  async settled(): Promise<LogState> {
    if (this.#isDoubtful) await this.#options.database.settle();
    else if (!(await this.hasGrown())) return this.#state;
    const state = await readState(this.#options, this.#rows);
    if (state === undefined) throw damaged("the checkpoint of its log is missing");
    if (!(await this.#isContinuedBy(state))) throw older();
    this.#isDoubtful = false;
    if (state.frontier.size !== this.#state.frontier.size) this.become(state);
    return this.#state;
  }

  async #isContinuedBy({ frontier }: LogState): Promise<boolean> {
    const { size, root } = this.#state.checkpoint;
    if (frontier.size < size) return false;
    const before = Frontier.of(size, await this.#rows.hashes(Frontier.idsOf(size)));
    return equalBytes(before.root(this.#options.suite), root);
  }
}

function older(): UnavailableError {
  const fact = "The store has an older log than this directory has published, or another.";
  return new UnavailableError("E_STORAGE", fact, {
    next: "Put back the newest copy of the store: an old one lacks what was revoked since.",
  });
}
