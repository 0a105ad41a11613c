/**
 * What a witness keeps beside its key: `state/witness.json` of its data folder.
 *
 * ```
 * v, logs [{directory, origin, key, checkpoint}], evidence [{found, notes}]
 * ```
 * `checkpoint` is the one cosigned last, a note signed by `key` (base64), the log's.
 */
import * as v from "valibot";
import { base64, fromBase64 } from "../../keys/bytes.ts";
import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { Ed25519PublicKey } from "../../keys/ed25519.ts";
import { SetupError, SshnpError } from "../../keys/errors.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { readState, writeState } from "../../keys/state-files.ts";
import { NOTE_BYTES, WITNESS_EVIDENCE, WITNESS_LOGS } from "../../protocol/limits.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";

/** One log as the witness knows it. */
export interface WitnessedLog {
  /** Fingerprint of the root key of the directory whose log it is. */
  readonly directory: string;
  readonly key: LogKey;
  /** The one cosigned last. */
  readonly latest: SignedCheckpoint | undefined;
}

/** Two notes that one log signed and no honest one would, and when they came, ms since 1970 UTC. */
export interface WitnessEvidence {
  readonly found: number;
  readonly notes: readonly [string, string];
}

export interface WitnessState {
  readonly logs: readonly WitnessedLog[];
  readonly evidence: readonly WitnessEvidence[];
}

const note = v.pipe(v.string(), v.maxBytes(NOTE_BYTES));

export const witnessStateSchema = v.strictObject({
  v: v.literal(1),
  logs: v.pipe(
    v.array(
      v.strictObject({
        directory: v.string(),
        origin: v.pipe(v.string(), v.minLength(1), v.maxLength(256)),
        key: v.string(),
        checkpoint: v.nullable(note),
      }),
    ),
    v.maxLength(WITNESS_LOGS),
  ),
  evidence: v.pipe(
    v.array(
      v.strictObject({
        found: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
        notes: v.strictTuple([note, note]),
      }),
    ),
    v.maxLength(WITNESS_EVIDENCE),
  ),
});

/** @throws {SetupError} E_BAD_KEY_FILE when it is damaged: to forget it might mean to cosign two histories; E_STORAGE. */
export async function readWitnessState(suite: CipherSuite, folder: PrivateFolder): Promise<WitnessState> {
  try {
    const state = await readState(folder, FILE, witnessStateSchema);
    if (state === undefined) return { logs: [], evidence: [] };
    const logs = state.logs.map(({ directory, origin, key: bytes, checkpoint }) => {
      const key = { origin, publicKey: Ed25519PublicKey.parse(fromBase64(bytes, 32)) };
      return { directory, key, latest: checkpoint === null ? undefined : openCheckpoint(suite, checkpoint, key) };
    });
    return { logs, evidence: state.evidence };
  } catch (cause) {
    if (!(cause instanceof SshnpError) || (cause instanceof SetupError && cause.code !== "E_BAD_KEY_FILE")) throw cause;
    throw new SetupError("E_BAD_KEY_FILE", `What the witness in ${shellWord(folder.path)} has cosigned is damaged.`, {
      next: "Restore the newest backup of its data folder, or begin with a new one: a witness that forgot is no witness, and its key must not be used again.",
      cause,
    });
  }
}

/** It is on disk when this returns. @throws {SetupError} E_STORAGE. */
export async function writeWitnessState(folder: PrivateFolder, { logs, evidence }: WitnessState): Promise<void> {
  await writeState(folder, FILE, witnessStateSchema, {
    v: 1,
    logs: logs.map(({ directory, key, latest }) => ({
      directory,
      origin: key.origin,
      key: base64(key.publicKey.bytes),
      checkpoint: latest?.text ?? null,
    })),
    evidence: evidence.map(({ found, notes }) => ({ found, notes: [...notes] as [string, string] })),
  });
}

const FILE = "witness.json";
