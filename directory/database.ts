import { readdir, statfs } from "node:fs/promises";
import type { Level } from "level";
import { SetupError, UnavailableError } from "../keys/errors.ts";
import { shellWord } from "../keys/shell-word.ts";
import { STORE_ROOM_BYTES } from "../protocol/limits.ts";

export type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "del"; readonly key: string };

/** `acknowledged`: on disk when the write returns. `kept`: survives the process, and the machine a moment later. */
export type Durability = "acknowledged" | "kept";

/** Texts by keys, in LevelDB. One process has it. */
export class Database {
  readonly #path: string;
  readonly #level: Level;
  readonly #queues: Readonly<Record<Durability, WriteQueue>> = {
    acknowledged: new WriteQueue((operations) => this.#write(operations, { sync: true })),
    kept: new WriteQueue((operations) => this.#write(operations, { sync: false })),
  };
  /** Whether a write has failed since it was opened. */
  #isStuck = false;
  #reopening: Promise<void> | undefined;

  private constructor(path: string, level: Level) {
    this.#path = path;
    this.#level = level;
  }

  /**
   * @throws {SetupError} E_RUNNING when another process has it, E_STORAGE when it cannot be read or is damaged: it is never
   * begun anew over one that was there.
   */
  static async open(path: string): Promise<Database> {
    const { Level } = await import("level");
    const level = new Level(path, { createIfMissing: !(await holdsData(path)) });
    try {
      await level.open();
    } catch (cause) {
      throw openError(path, cause);
    }
    return new Database(path, level);
  }

  /** Writes what is to be written, then closes. */
  async close(): Promise<void> {
    await Promise.all(Object.values(this.#queues).map((queue) => queue.settled()));
    await this.#level.close();
  }

  /** @throws {UnavailableError} E_STORAGE. */
  async get(key: string): Promise<string | undefined> {
    return await reading(() => this.#level.get(key));
  }

  /** The texts of these keys, in their order, as they were at one moment. @throws {UnavailableError} E_STORAGE. */
  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    return await reading(() => this.#level.getMany([...keys]));
  }

  /** All entries whose keys begin with `prefix`, by key. @throws {UnavailableError} E_STORAGE. */
  async entries(prefix: string): Promise<[string, string][]> {
    return await reading(() => this.#level.iterator({ gte: prefix, lt: `${prefix}\u{10ffff}` }).all());
  }

  /** The first `limit` of these that come after the key `after`. @throws {UnavailableError} E_STORAGE. */
  async entriesAfter(after: string, prefix: string, limit: number): Promise<[string, string][]> {
    return await reading(() => this.#level.iterator({ gt: after, lt: `${prefix}\u{10ffff}`, limit }).all());
  }

  /**
   * Does all of the operations or none. What comes while a write of the same durability is under way goes to disk together
   * with the next one. @throws {UnavailableError} E_STORAGE when it did none.
   */
  write(durability: Durability, operations: readonly Operation[]): Promise<void> {
    return this.#queues[durability].add(operations);
  }

  /**
   * After a write that failed, what is read may lack what is on disk all the same, as nobody knows how far the write came:
   * from here on it does not. @throws {UnavailableError} E_STORAGE when it cannot be opened again yet.
   */
  async settle(): Promise<void> {
    if (!this.#isStuck) return;
    try {
      await this.#reopen();
    } catch (cause) {
      throw new UnavailableError("E_STORAGE", "The store cannot be written.", { cause });
    }
  }

  async #write(operations: Operation[], options: { readonly sync: boolean }): Promise<void> {
    try {
      if (this.#isStuck) await this.#reopen();
      await this.#level.batch(operations, options);
    } catch (cause) {
      this.#isStuck = true;
      throw new UnavailableError("E_STORAGE", "The store cannot be written.", { cause });
    }
  }

  /**
   * LevelDB takes no write after one that failed, until it is opened again, and for that it needs room; till then it is
   * read on. So a full disk stops nothing but writing, and heals.
   */
  #reopen(): Promise<void> {
    this.#reopening ??= (async () => {
      const { bavail, bsize } = await statfs(this.#path);
      if (bavail * bsize < STORE_ROOM_BYTES) throw new Error("the disk is full");
      await this.#level.close();
      await this.#level.open({ createIfMissing: false });
      this.#isStuck = false;
    })().finally(() => {
      this.#reopening = undefined;
    });
    return this.#reopening;
  }
}

/** Writes one after the other; what is added meanwhile is written together. */
class WriteQueue {
  readonly #write: (operations: Operation[]) => Promise<void>;
  #waiting: Operation[] = [];
  /** Resolves when the write under way has ended, well or not. */
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(write: (operations: Operation[]) => Promise<void>) {
    this.#write = write;
  }

  add(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) this.#waiting.push(operation);
    this.#next ??= this.#afterCurrent();
    return this.#next;
  }

  /** Waits until nothing is under way or waiting, however it ended. */
  async settled(): Promise<void> {
    await (this.#next ?? this.#current).catch(() => {});
  }

  async #afterCurrent(): Promise<void> {
    await this.#current;
    const operations = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    const write = this.#write(operations);
    this.#current = write.catch(() => {});
    await write;
  }
}

/** Whether there are tables or logs, so that a database without its CURRENT file is a damaged one, not a new one. */
async function holdsData(path: string): Promise<boolean> {
  const files = await readdir(path).catch(() => []);
  return files.some((file) => file.endsWith(".ldb") || file.endsWith(".log"));
}

async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (cause) {
    throw new UnavailableError("E_STORAGE", "The store cannot be read.", { cause });
  }
}

function openError(path: string, cause: unknown): SetupError {
  const reason: unknown = cause instanceof Error ? cause.cause : undefined;
  const code = reason instanceof Error && "code" in reason ? String(reason.code) : "unknown reason";
  if (code === "LEVEL_LOCKED") {
    return new SetupError("E_RUNNING", `Another process has ${shellWord(path)} open.`, {
      next: "Stop the other sshnp-directory first, or give this one a data folder of its own.",
      cause,
    });
  }
  return new SetupError("E_STORAGE", `The store in ${shellWord(path)} cannot be opened (${code}).`, {
    next: "If it is damaged, restore the data folder from a backup. It is never begun anew over what is there.",
    cause,
  });
}
