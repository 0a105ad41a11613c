import * as v from "valibot";
import { fromBase64, hex } from "./bytes.ts";
import type { PrivateFolder } from "./private-folder.ts";
import { listState, readState, writeState } from "./state-files.ts";

/*
 * What this machine has seen of the log of a directory, by the fingerprint of the directory's root key: the newest
 * checkpoint, so that the log cannot go back, when witnesses have cosigned, so that time cannot, and what shows that it has
 * lied. Notes are signed, and kept as they came; whoever reads them verifies them.
 */

/** Two signed checkpoints that no honest log signs, and when they were found, ms since 1970 UTC. */
export interface LogEvidence {
  readonly found: number;
  readonly notes: readonly [string, string];
}

/** A checkpoint that a peer has seen, of another size than this machine had: still to be proved to be of the same log. */
export interface PendingCheckpoint {
  /** When it came, ms since 1970 UTC. */
  readonly since: number;
  readonly checkpoint: string;
}

export interface SeenLog {
  readonly v: 1;
  /** Fingerprint of the directory's root key. */
  readonly directory: string;
  /** The newest checkpoint; null: none yet. */
  readonly checkpoint: string | null;
  /** The newest verified time, ms since 1970 UTC, of each witness by its key in base64; at most MAX_WITNESSED. */
  readonly witnessed?: readonly (readonly [string, number])[] | undefined;
  /** The oldest first, at most MAX_EVIDENCE. */
  readonly evidence: readonly LogEvidence[];
  /** The oldest first, at most MAX_PENDING. */
  readonly pending?: readonly PendingCheckpoint[] | undefined;
}

const note = v.pipe(v.string(), v.maxBytes(4096));
const time = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

export const seenLogSchema: v.GenericSchema<SeenLog> = v.strictObject({
  v: v.literal(1),
  directory: v.pipe(v.string(), v.regex(/^SHA256:[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]$/)),
  checkpoint: v.nullable(note),
  witnessed: v.optional(v.array(v.strictTuple([v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{43}=$/)), time]))),
  evidence: v.array(
    v.strictObject({
      found: time,
      notes: v.strictTuple([note, note]),
    }),
  ),
  pending: v.optional(v.array(v.strictObject({ since: time, checkpoint: note }))),
});

/** What was seen of that directory's log. @throws {SetupError} as {@link readState}. */
export async function readSeenLog(keys: PrivateFolder, directory: string): Promise<SeenLog> {
  const seen = await readState(keys, fileOf(directory), seenLogSchema);
  return seen?.directory === directory ? seen : { v: 1, directory, checkpoint: null, evidence: [] };
}

/** @throws {SetupError} as {@link writeState}. */
export async function writeSeenLog(keys: PrivateFolder, seen: SeenLog): Promise<void> {
  await writeState(keys, fileOf(seen.directory), seenLogSchema, seen);
}

/** What was seen of all logs. @throws {SetupError} as {@link readState}. */
export async function listSeenLogs(keys: PrivateFolder): Promise<SeenLog[]> {
  const logs: SeenLog[] = [];
  for (const file of await listState(keys)) {
    const seen = /^log\.[0-9a-f]{64}\.json$/.test(file) ? await readState(keys, file, seenLogSchema) : undefined;
    if (seen !== undefined) logs.push(seen);
  }
  return logs;
}

/** The log with these times of witnesses, as far as it has no newer ones; the oldest of too many are forgotten. */
export function withWitnessed(seen: SeenLog, times: ReadonlyMap<string, number>): SeenLog {
  if (times.size === 0) return seen;
  const newest = new Map(seen.witnessed);
  for (const [key, said] of times) newest.set(key, Math.max(said, newest.get(key) ?? 0));
  return { ...seen, witnessed: [...newest].toSorted(([, a], [, b]) => b - a).slice(0, MAX_WITNESSED) };
}

/** The log with one more piece of evidence; the same two notes are kept once, and the oldest are never pushed out. */
export function withEvidence(seen: SeenLog, evidence: LogEvidence): SeenLog {
  const isKnown = seen.evidence.some(({ notes }) => notes.join() === evidence.notes.join());
  if (isKnown || seen.evidence.length >= MAX_EVIDENCE) return seen;
  return { ...seen, evidence: [...seen.evidence, evidence] };
}

/** The log with one more checkpoint to be proved; while there are as many as are kept, no other is. */
export function withPending(seen: SeenLog, pending: PendingCheckpoint): SeenLog {
  const { pending: known = [] } = seen;
  const isKnown = known.some(({ checkpoint }) => bodyOf(checkpoint) === bodyOf(pending.checkpoint));
  if (isKnown || known.length >= MAX_PENDING) return seen;
  return { ...seen, pending: [...known, pending] };
}

/** The log without a checkpoint that was proved. */
export function withoutPending(seen: SeenLog, checkpoint: string): SeenLog {
  return { ...seen, pending: (seen.pending ?? []).filter((other) => other.checkpoint !== checkpoint) };
}

/** What is signed: the same checkpoint may come with other cosignatures. */
function bodyOf(text: string): string {
  return text.slice(0, text.indexOf("\n\n"));
}

/** Each is proved at the next contact with the directory, so that more of them mean that it does not prove them. */
const MAX_PENDING = 16;
/** Far more than one command line can name. */
const MAX_WITNESSED = 64;
/** One would do to convict a log. */
const MAX_EVIDENCE = 16;

/** The fingerprint's 32 bytes in hex, since file names have no upper case. */
function fileOf(directory: string): string {
  return `log.${hex(fromBase64(`${directory.slice("SHA256:".length)}=`, 32))}.json`;
}
