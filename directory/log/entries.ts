import { equalBytes } from "../../keys/bytes.ts";
import type { AuditEvent } from "../audit/events.ts";
import type { Operation } from "../database.ts";
import type { LogRows } from "./rows.ts";

/** A statement that is to be the newest of its subject. */
export interface LogEntry {
  readonly subject: string;
  /** SHA-256 of its text, 32 bytes. */
  readonly hash: Uint8Array;
}

/** A statement in the log. */
export interface LoggedStatement extends LogEntry {
  /** Of its leaf. */
  readonly index: number;
}

/** How a statement in the log and the audit's line about it come to be there together. `event`: what brought them. */
export interface LogAudit {
  /** What is to be written with them, so that a process that ends before it can tell is not the last that knows. */
  readonly owed: (event: AuditEvent, statements: readonly LoggedStatement[]) => readonly Operation[];
  /** Told once they are on disk, before anybody else. */
  readonly logged: (event: AuditEvent, statements: readonly LoggedStatement[]) => void;
}

/** Whether a log of that size has these statements where they were to be. @throws {UnavailableError} E_STORAGE. */
export async function areLogged(
  rows: Pick<LogRows, "leaves">,
  size: number,
  statements: readonly LoggedStatement[],
): Promise<boolean> {
  const [first] = statements;
  if (first === undefined || size < first.index + statements.length) return false;
  const leaves = await rows.leaves(first.index, statements.length);
  return statements.every(({ hash }, at) => equalBytes(hash, leaves[at]?.hash ?? hash.subarray(1)));
}
