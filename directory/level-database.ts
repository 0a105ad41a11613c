import { readdir, statfs } from "node:fs/promises";
import type { Level } from "level";
import { SetupError, UnavailableError } from "../keys/errors.ts";
import { shellWord } from "../keys/shell-word.ts";
import { STORE_ROOM_BYTES } from "../protocol/limits.ts";
import { ConflictError, replaceOf } from "./conflict.ts";
import type { Database, Durability, Operation, Snapshot } from "./database.ts";

/** In LevelDB. One process has it. */
export class LevelDatabase implements Database {
  readonly isShared = false;
  readonly shared = undefined;
  readonly #path: string;
  readonly #level: Level;
  readonly #queues: Readonly<Record<Durability, WriteQueue>> = {
    acknowledged: new WriteQueue((writes) => this.#write(writes, "acknowledged")),
    kept: new WriteQueue((writes) => this.#write(writes, "kept")),
  };
  /** The keys of what each is writing, and when that has ended. */
  readonly #underWay = new Map<Durability, { readonly keys: ReadonlySet<string>; readonly ended: Promise<void> }>();
  /** Whether a write has failed since it was opened. */
  #isStuck = false;
  #reopening: Promise<void> | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  /** Keys of claims that are being looked at. */
  readonly #claiming = new Set<string>();

  private constructor(path: string, level: Level) {
    this.#path = path;
    this.#level = level;
  }

  /**
   * @throws {SetupError} E_RUNNING when another process has it, E_STORAGE when it cannot be read or is damaged: it is never
   * begun anew over one that was there.
   */
  static async open(path: string): Promise<LevelDatabase> {
    const { Level } = await import("level");
    const level = new Level(path, { createIfMissing: !(await holdsData(path)) });
    try {
      await level.open();
    } catch (cause) {
      throw openError(path, cause);
    }
    return new LevelDatabase(path, level);
  }

  async close(): Promise<void> {
    await this.#turn.catch(() => {});
    await Promise.all(Object.values(this.#queues).map((queue) => queue.settled()));
    await this.#level.close();
  }

  /**
   * At once, where the store is open: 3 us of the processor, as nearly all that is asked for is in memory, instead of 19 by way of
   * another thread and back, which a session needs some twenty times, one after the other.
   */
  async get(key: string): Promise<string | undefined> {
    return await reading(async () => (this.#level.status === "open" ? this.#level.getSync(key) : this.#level.get(key)));
  }

  /** At once as well, unless one of them is just being written: while nothing of them changes, all are read at one moment. */
  async getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    const isSteady = keys.length <= READ_AT_ONCE && !keys.some((key) => this.#isWriting(key));
    return await reading(async () =>
      isSteady && this.#level.status === "open"
        ? keys.map((key) => this.#level.getSync(key))
        : this.#level.getMany([...keys]),
    );
  }

  #isWriting(key: string): boolean {
    for (const { keys } of this.#underWay.values()) if (keys.has(key)) return true;
    return false;
  }

  async entries(prefix: string): Promise<[string, string][]> {
    return await reading(() => this.#level.iterator({ gte: prefix, lt: `${prefix}\u{10ffff}` }).all());
  }

  async entriesAfter(after: string, prefix: string, limit: number): Promise<[string, string][]> {
    return await reading(() => this.#level.iterator({ gt: after, lt: `${prefix}\u{10ffff}`, limit }).all());
  }

  async snapshot(): Promise<Snapshot> {
    const snapshot = this.#level.snapshot();
    return {
      entriesAfter: (after, prefix, limit) =>
        reading(() => this.#level.iterator({ gt: after, lt: `${prefix}\u{10ffff}`, limit, snapshot }).all()),
      [Symbol.asyncDispose]: () => snapshot.close(),
    };
  }

  /** What comes while a write of the same durability is under way goes to disk together with the next one. */
  async write(durability: Durability, operations: readonly Operation[]): Promise<void> {
    replaceOf(operations);
    await this.#queues[durability].add(operations);
  }

  exclusively<T>(action: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(action, action);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async claim(key: string, until: number, now: number): Promise<boolean> {
    const entry = CLAIM + key;
    if (this.#claiming.has(entry)) return false;
    this.#claiming.add(entry);
    try {
      const known = await this.get(entry);
      if (known !== undefined && Number(known) >= now) return false;
      await this.write("kept", [{ type: "put", key: entry, value: String(until) }]);
      return true;
    } finally {
      this.#claiming.delete(entry);
    }
  }

  async forgetClaims(past: readonly string[]): Promise<void> {
    await this.write(
      "kept",
      past.map((key) => ({ type: "del", key: CLAIM + key })),
    );
  }

  async settle(): Promise<void> {
    if (!this.#isStuck) return;
    try {
      await this.#reopen();
    } catch (cause) {
      throw new UnavailableError("E_STORAGE", "The store cannot be written.", { cause });
    }
  }

  /** What is for the same key comes one after the other, whatever its durability: `replace` would compare with the past otherwise. */
  async #write(writes: readonly Write[], durability: Durability): Promise<void> {
    const keys = new Set(writes.flatMap(({ operations }) => operations.map(({ key }) => key)));
    const other = durability === "kept" ? "acknowledged" : "kept";
    for (let one = this.#underWay.get(other); one !== undefined; one = this.#underWay.get(other)) {
      const { keys: others } = one;
      if (![...keys].some((key) => others.has(key))) break;
      await one.ended;
    }
    const write = this.#writeNow(writes, { sync: durability === "acknowledged" });
    this.#underWay.set(durability, { keys, ended: write.catch(() => {}) });
    try {
      await write;
    } finally {
      this.#underWay.delete(durability);
    }
  }

  async #writeNow(writes: readonly Write[], options: { readonly sync: boolean }): Promise<void> {
    try {
      if (this.#isStuck) await this.#reopen();
      await this.#level.batch(await this.#operationsOf(writes), options);
    } catch (cause) {
      this.#isStuck = true;
      throw new UnavailableError("E_STORAGE", "The store cannot be written.", { cause });
    }
  }

  /** Those of all writes but of the ones in conflict with what is there, or with what an earlier one of them puts there. */
  async #operationsOf(writes: readonly Write[]): Promise<LevelOperation[]> {
    const operations: LevelOperation[] = [];
    const next = new Map<string, string | undefined>();
    for (const one of writes) {
      const replace = replaceOf(one.operations);
      if (replace !== undefined) {
        const { key, before } = replace;
        one.hasConflict = (next.has(key) ? next.get(key) : await this.get(key)) !== before;
      }
      if (one.hasConflict) continue;
      for (const operation of one.operations) {
        next.set(operation.key, operation.type === "del" ? undefined : operation.value);
        operations.push(levelOperation(operation));
      }
    }
    return operations;
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

type LevelOperation = Exclude<Operation, { type: "replace" }>;

function levelOperation(operation: Operation): LevelOperation {
  if (operation.type !== "replace") return operation;
  const { key, value } = operation;
  return value === undefined ? { type: "del", key } : { type: "put", key, value };
}

const CLAIM = "id:";

/** Keys that are not worth a way to another thread and back. */
const READ_AT_ONCE = 64;

/** What somebody wants written. */
interface Write {
  readonly operations: readonly Operation[];
  hasConflict: boolean;
}

/** Writes one after the other; what is added meanwhile is written together. */
class WriteQueue {
  readonly #write: (writes: readonly Write[]) => Promise<void>;
  #waiting: Write[] = [];
  /** Resolves when the write under way has ended, well or not. */
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(write: (writes: readonly Write[]) => Promise<void>) {
    this.#write = write;
  }

  /** @throws {ConflictError}; what the write throws. */
  async add(operations: readonly Operation[]): Promise<void> {
    const write: Write = { operations, hasConflict: false };
    this.#waiting.push(write);
    this.#next ??= this.#afterCurrent();
    await this.#next;
    if (write.hasConflict) throw new ConflictError();
  }

  /** Waits until nothing is under way or waiting, however it ended. */
  async settled(): Promise<void> {
    await (this.#next ?? this.#current).catch(() => {});
  }

  async #afterCurrent(): Promise<void> {
    await this.#current;
    const writes = this.#waiting;
    this.#waiting = [];
    this.#next = undefined;
    const write = this.#write(writes);
    this.#current = write.catch(() => {});
    await write;
  }
}

/** Whether there are tables or logs, so that a database without its CURRENT file is a damaged one, not a new one. */
export async function holdsData(path: string): Promise<boolean> {
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
