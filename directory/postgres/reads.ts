import type { Pool } from "pg";
import { POSTGRES_KEYS_AT_ONCE, POSTGRES_WAITING } from "../../protocol/limits.ts";
import { busy } from "./asking.ts";

interface Wanted {
  readonly keys: readonly string[];
  readonly resolve: (texts: (string | undefined)[]) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Reads of entries, of which those that are wanted while one is under way go together in the next: a question to the server costs
 * more than a row. What is asked for in one call comes from one statement, and so from one moment.
 */
export class Reads {
  readonly #pool: Pool;
  #waiting: Wanted[] = [];
  #isScheduled = false;
  #underWay = 0;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  getMany(keys: readonly string[]): Promise<(string | undefined)[]> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.length >= POSTGRES_WAITING) return reject(busy());
      this.#waiting.push({ keys, resolve, reject });
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled || this.#underWay >= this.#pool.options.max) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      void this.#read(this.#take());
    });
  }

  /** As many as go together. */
  #take(): Wanted[] {
    let count = 0;
    const end = this.#waiting.findIndex(({ keys }) => (count += keys.length) > POSTGRES_KEYS_AT_ONCE);
    return this.#waiting.splice(0, end === -1 ? this.#waiting.length : Math.max(1, end));
  }

  async #read(wanted: readonly Wanted[]): Promise<void> {
    if (wanted.length === 0) return;
    this.#underWay += 1;
    if (this.#waiting.length > 0) this.#schedule();
    try {
      const keys = [...new Set(wanted.flatMap((one) => one.keys))];
      const { rows } = await this.#pool.query<[string, string]>({ ...GET, values: [keys] });
      const texts = new Map(rows);
      for (const one of wanted) one.resolve(one.keys.map((key) => texts.get(key)));
    } catch (error) {
      for (const one of wanted) one.reject(error);
    } finally {
      this.#underWay -= 1;
      if (this.#waiting.length > 0) this.#schedule();
    }
  }
}

const GET = {
  name: "sshnp_get",
  text: "SELECT key, value FROM sshnp_entry WHERE key = ANY($1::text[])",
  rowMode: "array",
} as const;
