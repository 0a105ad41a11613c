import { RECORDS_KEPT } from "../protocol/limits.ts";
import { RecentValues } from "../keys/recent-values.ts";

interface Kept {
  readonly text: string;
  readonly record: unknown;
}

/**
 * Entries of the store that were read last, parsed. Each is read every time, since another process may have written it, and
 * parsed again only when it reads otherwise.
 */
export class RecentRecords {
  readonly #kept = new RecentValues<Kept>(RECORDS_KEPT);

  /** What `text`, the value of the entry at `key`, is by `make`, which is the same for all calls with that key. */
  of<T>(key: string, text: string | undefined, make: (text: string) => T): T | undefined {
    if (text === undefined) return undefined;
    const kept = this.#kept.get(key);
    if (kept?.text === text) return kept.record as T;
    const record = make(text);
    this.#kept.put(key, { text, record });
    return record;
  }
}
