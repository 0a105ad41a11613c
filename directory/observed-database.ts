import { SshnpError } from "../keys/errors.ts";
import { ConflictError } from "./conflict.ts";
import type { Database, Durability, Operation, Snapshot } from "./database.ts";
import type { SharedDatabase } from "./postgres/shared.ts";

/** What is asked of a database, as it is counted. */
export const STORE_WORK = ["read", "acknowledged", "kept", "claim", "turn"] as const;

export type StoreWork = (typeof STORE_WORK)[number];

/** Told of each call, how long it took in ms and whether the store failed, or had no time: that a turn's own decision is no is none of its. */
export type StoreObserver = (work: StoreWork, ms: number, failed: boolean) => void;

/** A database whose calls are timed and counted, whichever it is. */
export class ObservedDatabase implements Database {
  readonly #database: Database;
  readonly #observer: StoreObserver;
  /** Whether an error is a failure of the store, as was judged where it came up first: in a call, or in what a turn decides. */
  readonly #judged = new WeakMap<SshnpError, boolean>();
  readonly #waiting: Record<StoreWork, number> = { read: 0, acknowledged: 0, kept: 0, claim: 0, turn: 0 };

  constructor(database: Database, observer: StoreObserver) {
    this.#database = database;
    this.#observer = observer;
  }

  /** Calls that have not been answered yet. */
  get waiting(): Readonly<Record<StoreWork, number>> {
    return this.#waiting;
  }

  get isShared(): boolean {
    return this.#database.isShared;
  }

  get shared(): SharedDatabase | undefined {
    return this.#database.shared;
  }

  get(key: string): Promise<string | undefined> {
    return this.#timed("read", () => this.#database.get(key));
  }

  getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    return this.#timed("read", () => this.#database.getMany(keys));
  }

  entries(prefix: string): Promise<[string, string][]> {
    return this.#timed("read", () => this.#database.entries(prefix));
  }

  entriesAfter(after: string, prefix: string, limit: number): Promise<[string, string][]> {
    return this.#timed("read", () => this.#database.entriesAfter(after, prefix, limit));
  }

  snapshot(): Promise<Snapshot> {
    return this.#database.snapshot();
  }

  write(durability: Durability, operations: readonly Operation[]): Promise<void> {
    return this.#timed(durability, () => this.#database.write(durability, operations));
  }

  exclusively<T>(action: () => Promise<T>): Promise<T> {
    const deciding = async (): Promise<T> => {
      try {
        return await action();
      } catch (error) {
        this.#isFailure(error, false); // where no call has judged it before, it is the turn's own
        throw error;
      }
    };
    return this.#timed("turn", () => this.#database.exclusively(deciding));
  }

  claim(key: string, until: number, now: number): Promise<boolean> {
    return this.#timed("claim", () => this.#database.claim(key, until, now));
  }

  forgetClaims(past: readonly string[], now: number): Promise<void> {
    return this.#database.forgetClaims(past, now);
  }

  settle(): Promise<void> {
    return this.#database.settle();
  }

  close(): Promise<void> {
    return this.#database.close();
  }

  async #timed<T>(work: StoreWork, call: () => Promise<T>): Promise<T> {
    const began = performance.now();
    let failed = false;
    this.#waiting[work] += 1;
    try {
      return await call();
    } catch (error) {
      failed = this.#isFailure(error, saysFailure(error));
      throw error;
    } finally {
      this.#waiting[work] -= 1;
      this.#observer(work, performance.now() - began, failed);
    }
  }

  /** What was judged of an error first holds; `judgement` where nothing was. */
  #isFailure(error: unknown, judgement: boolean): boolean {
    if (!(error instanceof SshnpError)) return false;
    const judged = this.#judged.get(error) ?? judgement;
    this.#judged.set(error, judged);
    return judged;
  }
}

/** Whether an error of the store says that it could not do it, or not in time. */
function saysFailure(error: unknown): boolean {
  if (!(error instanceof SshnpError) || error instanceof ConflictError) return false;
  return error.code === "E_STORAGE" || error.code === "E_BUSY";
}
