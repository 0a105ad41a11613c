import type { SharedDatabase } from "./postgres/shared.ts";

/** A change of one entry. `replace` puts a value only where `before` is what stands there, undefined being nothing; not both are. */
export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | {
      readonly type: "replace";
      readonly key: string;
      readonly before: string | undefined;
      readonly value: string | undefined;
    }
  | { readonly type: "del"; readonly key: string };

/** `acknowledged`: on disk when the write returns. `kept`: survives the process, and the machine a moment later. */
export type Durability = "acknowledged" | "kept";

/** A database as it was at one moment. */
export interface Snapshot extends AsyncDisposable {
  entriesAfter: Database["entriesAfter"];
}

/**
 * Texts by keys, which are in the order of their UTF-8 bytes: LevelDB, which one process has, or PostgreSQL, which any number
 * share. A text or key has no NUL character. All methods throw {UnavailableError} E_STORAGE,
 * and E_BUSY when more waits for a shared database than is kept.
 */
export interface Database {
  /** Whether other processes may read and write it at the same time. */
  readonly isShared: boolean;

  /** By what these know of each other. */
  readonly shared: SharedDatabase | undefined;

  get(key: string): Promise<string | undefined>;

  /** The texts of these keys, in their order, as they were at one moment. */
  getMany(keys: readonly string[]): Promise<(string | undefined)[]>;

  /** All entries whose keys begin with `prefix`, by key. */
  entries(prefix: string): Promise<[string, string][]>;

  /** The first `limit` of these that come after the key `after`. */
  entriesAfter(after: string, prefix: string, limit: number): Promise<[string, string][]>;

  /** All that is there at this moment, to be read at leisure. */
  snapshot(): Promise<Snapshot>;

  /**
   * Does all of the operations or none; rejects when it did none, or cannot know ({@link settle}). Those of one `kept` write that
   * are for the same key count in their order. One that replaces has one `replace` and nothing else for that key; where something
   * else stands than it is to replace, it fails alone, whatever is written at the same time. @throws {ConflictError} E_BUSY.
   */
  write(durability: Durability, operations: readonly Operation[]): Promise<void>;

  /**
   * Runs what reads, decides and then writes, `acknowledged` and once: nothing else that is run so comes in between, in no process
   * that shares the database. If the turn is lost meanwhile (the connection is), the write fails. Turns are not nested.
   */
  exclusively<T>(action: () => Promise<T>): Promise<T>;

  /**
   * Remembers a key until that time (ms since 1970 UTC), `kept`: true for one caller in all processes, false for the others.
   * `now` is what the times of earlier claims are compared with.
   */
  claim(key: string, until: number, now: number): Promise<boolean>;

  /** Forgets claims that ended before `now`: those in `past`, and what other processes may have left. */
  forgetClaims(past: readonly string[], now: number): Promise<void>;

  /**
   * After a write that failed, what is read may lack what is on disk all the same, as nobody knows how far the write came: from
   * here on it does not.
   */
  settle(): Promise<void>;

  /** Writes what is to be written, then closes. */
  close(): Promise<void>;
}
