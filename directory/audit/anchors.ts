import { fromHex, hex } from "../../keys/bytes.ts";
import { UnavailableError } from "../../keys/errors.ts";
import { AUDIT_ANCHOR_AGAIN_MS, AUDIT_ANCHOR_MS, AUDIT_FIRST_ANCHOR_MS } from "../../protocol/limits.ts";
import type { Audit } from "../audit.ts";
import type { Database, Operation } from "../database.ts";
import { type AuditEvent, isAuditEvent } from "./events.ts";
import type { LogAudit, LoggedStatement } from "../log/entries.ts";
import type { Log } from "../log/log.ts";
import { AUDIT_OWED, AUDITS, parseEntry, put } from "../tables.ts";

/** Where a line of the audit stands in the log. */
export interface Anchor {
  /** 16 hex digits. */
  readonly directory: string;
  /** The line's number. */
  readonly line: number;
  /** Of the leaf. */
  readonly index: number;
}

/** What the log holds of the audit of a directory, as far as this store knows. @throws {UnavailableError} E_STORAGE. */
export async function anchoredHead(
  database: Database,
  directory: string,
): Promise<{ readonly n: number; readonly hash: string } | undefined> {
  const text = await database.get(AUDITS.prefix + directory);
  return text === undefined ? undefined : parseEntry(AUDITS, text);
}

/**
 * Ties the audit to the log: every statement in the log gets its line, whenever the process ends; and the log gets the hash of
 * the audit's last line from time to time, so that whoever has seen the log later knows whether lines were cut off or changed.
 */
export class AuditAnchors implements LogAudit {
  readonly #audit: Audit;
  readonly #database: Database;
  readonly #begun: number;
  /** The line after it, which says so, needs none. */
  #last: Anchor | undefined;
  #lastTime: number | undefined;
  /** Since then none could be put into the log. */
  #failedTime: number | undefined;
  /** Rows of statements whose lines were written, to be removed once these are on disk. */
  #paid: string[] = [];
  #anchoring: Promise<unknown> = Promise.resolve();

  /** `now`: monotonic ms. */
  constructor(audit: Audit, database: Database, now: number) {
    this.#audit = audit;
    this.#database = database;
    this.#begun = now;
  }

  /** @throws {UnavailableError} E_STORAGE when the audit could not take their lines. */
  owed(event: AuditEvent, statements: readonly LoggedStatement[]): Operation[] {
    if (this.#audit.isFull) {
      this.#audit.write({ event, verdict: "E_STORAGE", subjects: statements.map(({ subject }) => subject) });
      throw new UnavailableError("E_STORAGE", "The audit takes no lines, and statements need theirs.", {
        next: "Make room on the disk of the directory's data folder.",
      });
    }
    return statements.map(({ subject, index, hash }) =>
      put(AUDIT_OWED, this.#rowOf(index), { event, subject, index, hash: hex(hash) }),
    );
  }

  logged(event: AuditEvent, statements: readonly LoggedStatement[]): void {
    const told = statements.map(({ subject, index, hash }) => ({ index, subject, hash: hex(hash) }));
    this.#audit.write({
      ...{ event, verdict: "stored", subjects: statements.map(({ subject }) => subject) },
      statements: told,
    });
    this.#paid.push(...statements.map(({ index }) => this.#rowOf(index)));
  }

  /** Writes the lines that a process before this one owed; some may be there twice. @throws {UnavailableError} E_STORAGE. */
  async recover(): Promise<void> {
    for (const [key, text] of await this.#database.entries(`${AUDIT_OWED.prefix}${this.#audit.directory}/`)) {
      const { event, subject, index, hash } = parseEntry(AUDIT_OWED, text);
      const about = { verdict: "stored", again: true, subjects: [subject], statements: [{ index, subject, hash }] };
      this.#audit.write({ event: isAuditEvent(event) ? event : "statements", ...about });
      this.#paid.push(key.slice(AUDIT_OWED.prefix.length));
    }
  }

  /** Whether it is time for {@link anchor}. */
  isDue(now: number): boolean {
    if (this.#failedTime !== undefined) return now - this.#failedTime >= AUDIT_ANCHOR_AGAIN_MS;
    const since = this.#lastTime ?? this.#begun;
    return now - since >= (this.#lastTime === undefined ? AUDIT_FIRST_ANCHOR_MS : AUDIT_ANCHOR_MS);
  }

  /**
   * Puts the newest line into the log, unless it says nothing but that the one before is there. `exclusively` gives the turn
   * among those who append. @throws {UnavailableError} E_STORAGE; the system's error when the audit cannot be written.
   */
  async anchor(
    log: Pick<Log, "anchor" | "settle">,
    now: number,
    exclusively: <T>(action: () => Promise<T>) => Promise<T>,
  ): Promise<Anchor> {
    const turn = this.#anchoring.then(() => this.#anchor(log, exclusively));
    this.#anchoring = turn.catch(() => {});
    try {
      const anchor = await turn;
      this.#lastTime = now;
      this.#failedTime = undefined;
      return anchor;
    } catch (error) {
      this.#failedTime = now;
      throw error;
    }
  }

  async #anchor(
    log: Pick<Log, "anchor" | "settle">,
    exclusively: <T>(action: () => Promise<T>) => Promise<T>,
  ): Promise<Anchor> {
    const paid = this.#paid.length;
    const head = await this.#audit.sync();
    const before = this.#last;
    if (before !== undefined && head.n <= before.line + 1) return before;
    const rows = this.#paid.slice(0, paid).map((row): Operation => ({ type: "del", key: AUDIT_OWED.prefix + row }));
    const { directory, n, hash } = head;
    const leaf = { type: "audit", directory: fromHex(directory, 8), hash: fromHex(hash, 32) } as const;
    const index = await exclusively(async () => {
      await log.settle();
      return await log.anchor(leaf, () => [put(AUDITS, directory, { n, hash }), ...rows]);
    });
    this.#paid.splice(0, paid);
    this.#audit.write({ event: "anchored", line: n, index });
    await this.#audit.sync();
    this.#last = { directory, line: n, index };
    return this.#last;
  }

  #rowOf(index: number): string {
    return `${this.#audit.directory}/${index.toString(16).padStart(14, "0")}`;
  }
}
