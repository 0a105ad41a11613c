/**
 * A line of the audit: one JSON object, printable ASCII, these fields first and last.
 *
 * ```
 * {"n":17,"time":"2026-01-01T00:00:00.000Z","directory":"3f9c2a7be1d0446a","event":"...",...,"prev":"..."}
 * n           its number, 1 at the beginning of an audit
 * directory   whose audit it is, 16 hex digits made at random once
 * prev        SHA-256 in hex of the line before, without its newline; 64 zeros in line 1
 * ```
 */
import * as v from "valibot";
import { hex, utf8 } from "../../keys/bytes.ts";
import { PeerError } from "../../keys/errors.ts";
import { AUDIT_LINE_BYTES } from "../../protocol/limits.ts";
import type { Hashing } from "../../protocol/log/tree.ts";
import type { AuditEvent } from "./events.ts";

/** What happened, in words of our own; names are by their grammar, everything else of a peer's stands under `peer`. */
export type AuditEntry = { readonly event: AuditEvent } & { readonly [field in OwnField]?: never } & Readonly<
    Record<string, unknown>
  >;

type OwnField = "n" | "time" | "directory" | "prev";

/** Where an audit stands. */
export interface AuditHead {
  /** 16 hex digits. */
  readonly directory: string;
  /** Of its last line; 0: it has none. */
  readonly n: number;
  /** SHA-256 of that line in hex. */
  readonly hash: string;
}

/** Ahead of line 1. */
export const BEFORE_FIRST = "0".repeat(64);

/** The line that follows `head`, without a newline, and where the audit stands with it. `time` in ms since 1970 UTC. */
export function nextAuditLine(
  suite: Hashing,
  { directory, n, hash }: AuditHead,
  entry: AuditEntry,
  time: number,
): { readonly line: string; readonly head: AuditHead } {
  const { event, ...rest } = entry;
  const fields = { n: n + 1, time: new Date(time).toISOString(), directory, event, ...rest, prev: hash };
  const line = JSON.stringify(fields).replace(/[^ -~]/g, (unit) => `\\u${hexOf(unit)}`);
  return { line, head: { directory, n: n + 1, hash: auditLineHash(suite, line) } };
}

function hexOf(unit: string): string {
  return unit.charCodeAt(0).toString(16).padStart(4, "0");
}

/** In hex. */
export function auditLineHash(suite: Hashing, line: string): string {
  return hex(suite.sha256(utf8(line)));
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const lineSchema = v.looseObject({
  n: v.pipe(count, v.minValue(1)),
  time: v.pipe(v.string(), v.regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/)),
  directory: v.pipe(v.string(), v.regex(/^[0-9a-f]{16}$/)),
  event: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
  prev: hash,
  /** Statements of the log that the line speaks of. */
  statements: v.optional(v.array(v.looseObject({ index: count, hash, subject: v.string() }))),
  /** Of `begun`: leaves that the log had by then. */
  log: v.optional(count),
  /** Of `anchored`: which line stands in the log, and where. */
  line: v.optional(count),
  index: v.optional(count),
  /** Of `torn`: what lies ahead of it and is no line. */
  bytes: v.optional(count),
  hash: v.optional(v.string()),
});

export type AuditLine = v.InferOutput<typeof lineSchema>;

/**
 * One line without its newline; that it stands where it should is for whoever has the one before.
 * @throws {PeerError} E_PROTOCOL when it is too long, not printable ASCII, no JSON object from its first to its last character, or lacks a field.
 */
export function parseAuditLine(text: string): AuditLine {
  if (text.length > AUDIT_LINE_BYTES || !/^\{[ -~]*\}$/.test(text)) throw noLine();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw noLine();
  }
  const result = v.safeParse(lineSchema, json, { abortEarly: true });
  if (!result.success) throw noLine();
  return result.output;
}

/** As {@link parseAuditLine}; undefined for what is none. */
export function auditLineOf(text: string): AuditLine | undefined {
  try {
    return parseAuditLine(text);
  } catch (error) {
    if (error instanceof PeerError) return undefined;
    throw error;
  }
}

/** Whether a terminal does nothing but show it. */
export function isPrintable(text: string): boolean {
  return /^[ -~]*$/.test(text);
}

function noLine(): PeerError {
  return new PeerError("E_PROTOCOL", "not a line of an audit");
}
