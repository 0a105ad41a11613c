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
  /** What calls have failed with: a turn that ends with one of these has failed, and with another it has decided so. */
  readonly #failures = new WeakSet<SshnpError>();
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
    let decision: unknown;
    const decided = async (): Promise<T> => {
      try {
        return await action();
      } catch (error) {
        if (!(error instanceof SshnpError && this.#failures.has(error))) decision = error;
        throw error;
      }
    };
    return this.#timed(
      "turn",
      () => this.#database.exclusively(decided),
      (error) => error === decision,
    );
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

  async #timed<T>(
    work: StoreWork,
    call: () => Promise<T>,
    isDecision: (error: unknown) => boolean = () => false,
  ): Promise<T> {
    const began = performance.now();
    let failed = false;
    this.#waiting[work] += 1;
    try {
      return await call();
    } catch (error) {
      if (isFailure(error) && !isDecision(error)) {
        failed = true;
        this.#failures.add(error);
      }
      throw error;
    } finally {
      this.#waiting[work] -= 1;
      this.#observer(work, performance.now() - began, failed);
    }
  }
}

/** Whether the store could not do it, or not in time. */
function isFailure(error: unknown): error is SshnpError {
  if (!(error instanceof SshnpError) || error instanceof ConflictError) return false;
  return error.code === "E_STORAGE" || error.code === "E_BUSY";
}
