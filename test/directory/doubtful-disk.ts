import type { Database, Operation } from "../../directory/database.ts";

/** Stands for a disk that takes a write and cannot say so, or does not take it: known once the database is opened again. */
export class DoubtfulDisk {
  readonly #database: Database;
  /** Whether the next write fails, and whether it is on disk all the same. */
  fails: "lost" | "taken" | undefined;
  #unseen: readonly Operation[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  get isShared(): boolean {
    return this.#database.isShared;
  }

  exclusively<T>(action: () => Promise<T>): Promise<T> {
    return this.#database.exclusively(action);
  }

  get(key: string): Promise<string | undefined> {
    return this.#database.get(key);
  }

  getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    return this.#database.getMany(keys);
  }

  async write(durability: "acknowledged" | "kept", operations: readonly Operation[]): Promise<void> {
    if (this.fails === undefined) {
      await this.settle();
      return await this.#database.write(durability, operations);
    }
    this.#unseen = this.fails === "taken" ? operations : [];
    this.fails = undefined;
    await this.#database.get("x:"); // fails later, as a disk does
    throw Object.assign(new Error("the disk"), { code: "E_STORAGE" });
  }

  async settle(): Promise<void> {
    const operations = this.#unseen;
    this.#unseen = [];
    if (operations.length > 0) await this.#database.write("acknowledged", operations);
  }
}
