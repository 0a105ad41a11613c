import { equalBytes, utf8, utf8Text } from "../../keys/bytes.ts";
import { PeerError, SecurityError, SetupError } from "../../keys/errors.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { NOTE_BYTES } from "../../protocol/limits.ts";
import { openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { Log, type LogOptions } from "./log.ts";

export interface GuardedLogOptions extends LogOptions {
  /** The data folder, in which the store lies as well. */
  readonly folder: PrivateFolder;
  /** That of the keys, where directories share one: what one of them has published the others are held to as well. */
  readonly sharedFolder?: PrivateFolder | undefined;
  /** The operator's word that a log older than the one that was published is to be gone on with. */
  readonly acceptOlder: boolean;
  /** Hears of checkpoints that could not be written to the file. */
  readonly onError: (error: unknown) => void;
}

export interface GuardedLog {
  readonly log: Log;
  /** Whether it is an older one that `acceptOlder` let pass. */
  readonly isOlder: boolean;
  /** Writes what is still to be written to the file; to be called from time to time, for what could not be, and at the end. */
  settle(): Promise<void>;
}

/**
 * Opens the log and holds it against the newest checkpoint in `log-checkpoint`, which lies beside the store, not in it: a store
 * that comes from an old backup has a shorter log, and going on with that would sign a second history.
 * @throws {SetupError} E_LOG when the store's log is shorter than that, or another one; as {@link Log.open}.
 */
export async function openGuardedLog(options: GuardedLogOptions): Promise<GuardedLog> {
  const { folder, sharedFolder, acceptOlder, onError } = options;
  const isApart = sharedFolder !== undefined && sharedFolder.path !== folder.path;
  const files = [folder, ...(isApart ? [sharedFolder] : [])].map(
    (one) => new CheckpointFile(one, options.database.isShared, onError),
  );
  const published = await Promise.all(files.map(async (file) => ({ file, bytes: await file.read() })));
  const log = await Log.open({
    ...options,
    grown: (checkpoint) => {
      for (const file of files) file.keep(checkpoint);
      options.grown?.(checkpoint);
    },
  });
  let isOlder = false;
  for (const { file, bytes } of published) {
    if (bytes === undefined) continue;
    try {
      await demandContinuation(options, log, { file: file.path, bytes });
    } catch (error) {
      if (!acceptOlder || !(error instanceof SetupError) || error.code !== "E_LOG") throw error;
      isOlder = true;
    }
  }
  for (const file of files) file.keep(log.checkpoint, isOlder);
  const settle = async (): Promise<void> => {
    await Promise.all(files.map((file) => file.settle()));
  };
  await settle();
  return { log, isOlder, settle };
}

export const CHECKPOINT_FILE = "log-checkpoint";

/**
 * The newest checkpoint in a file. It is written in the background, only the newest, so that no append waits for it; and never an
 * older one over a newer one that another directory has put there.
 */
class CheckpointFile {
  readonly #folder: PrivateFolder;
  /** Whether other directories may write it too. */
  readonly #hasOthers: boolean;
  readonly #onError: (error: unknown) => void;
  #waiting: Waiting | undefined;
  #writing: Promise<void> | undefined;

  constructor(folder: PrivateFolder, hasOthers: boolean, onError: (error: unknown) => void) {
    this.#folder = folder;
    this.#hasOthers = hasOthers;
    this.#onError = onError;
  }

  async read(): Promise<Uint8Array | undefined> {
    return await this.#folder.read(CHECKPOINT_FILE, NOTE_BYTES);
  }

  get path(): string {
    return this.#folder.pathOf(CHECKPOINT_FILE);
  }

  /** `isForced`: whatever stands there. */
  keep({ size, text }: SignedCheckpoint, isForced = false): void {
    this.#waiting = { size, text, isForced };
    this.#writing ??= this.#write();
  }

  /** Waits until the newest is written; one that could not be is tried once more. */
  async settle(): Promise<void> {
    await this.#writing;
    if (this.#waiting !== undefined) this.#writing ??= this.#write();
    await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting !== undefined) {
      const waiting = this.#waiting;
      this.#waiting = undefined;
      try {
        const there = this.#hasOthers && !waiting.isForced ? await this.read() : undefined;
        if (there === undefined || sizeIn(there) <= waiting.size)
          await this.#folder.replace(CHECKPOINT_FILE, utf8(waiting.text));
      } catch (error) {
        this.#onError(error);
        this.#waiting ??= waiting; // for the next append, or settle
        break;
      }
    }
    this.#writing = undefined;
  }
}

interface Waiting {
  readonly size: number;
  readonly text: string;
  readonly isForced: boolean;
}

/** The size that a checkpoint says, before anything of it is verified; 0 for what is none. */
export function sizeIn(note: Uint8Array): number {
  const size = Number(Buffer.from(note).toString("latin1").split("\n")[1]);
  return Number.isSafeInteger(size) ? size : 0;
}

/** @throws {SetupError} E_LOG. */
async function demandContinuation(
  options: GuardedLogOptions,
  log: Log,
  { file, bytes }: { readonly file: string; readonly bytes: Uint8Array },
): Promise<void> {
  const { suite, origin, privateKey } = options;
  let checkpoint: SignedCheckpoint;
  try {
    checkpoint = openCheckpoint(suite, utf8Text(bytes), { origin, publicKey: privateKey.publicKey });
  } catch (cause) {
    if (!(cause instanceof SecurityError || cause instanceof PeerError)) throw cause;
    throw older(options, `${shellWord(file)} is no checkpoint of this directory's log.`, cause);
  }
  const { size } = log.checkpoint;
  if (size < checkpoint.size) {
    throw older(
      options,
      `The store has ${size} entries of a log that had ${checkpoint.size} when this directory last ran.`,
    );
  }
  if (!equalBytes(await log.rootAt(checkpoint.size), checkpoint.root)) {
    throw older(options, "The store has another log than this directory has published.");
  }
}

function older({ database }: Pick<LogOptions, "database">, fact: string, cause?: unknown): SetupError {
  const what = database.isShared ? "the database" : "the whole data folder";
  return new SetupError("E_LOG", fact, {
    next:
      `Put back the newest copy of ${what}; an old one lacks what was revoked since. If there is none, ` +
      "run once with --accept-older-log: whoever has seen the newer log will refuse this directory from then on.",
    ...(cause === undefined ? {} : { cause }),
  });
}
