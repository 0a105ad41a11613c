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
  const { folder, acceptOlder, onError } = options;
  const file = new CheckpointFile(folder, onError);
  const published = await file.read();
  const log = await Log.open({
    ...options,
    grown: (checkpoint) => {
      file.keep(checkpoint);
      options.grown?.(checkpoint);
    },
  });
  let isOlder = false;
  if (published !== undefined) {
    try {
      await demandContinuation(options, log, published);
    } catch (error) {
      if (!acceptOlder || !(error instanceof SetupError) || error.code !== "E_LOG") throw error;
      isOlder = true;
    }
  }
  file.keep(log.checkpoint);
  await file.settle();
  return { log, isOlder, settle: () => file.settle() };
}

const FILE = "log-checkpoint";

/** The newest checkpoint in a file. It is written in the background, only the newest, so that no append waits for it. */
class CheckpointFile {
  readonly #folder: PrivateFolder;
  readonly #onError: (error: unknown) => void;
  #waiting: string | undefined;
  #writing: Promise<void> | undefined;

  constructor(folder: PrivateFolder, onError: (error: unknown) => void) {
    this.#folder = folder;
    this.#onError = onError;
  }

  async read(): Promise<Uint8Array | undefined> {
    return await this.#folder.read(FILE, NOTE_BYTES);
  }

  keep({ text }: SignedCheckpoint): void {
    this.#waiting = text;
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
      const text = this.#waiting;
      this.#waiting = undefined;
      try {
        await this.#folder.replace(FILE, utf8(text));
      } catch (error) {
        this.#onError(error);
        this.#waiting ??= text; // for the next append, or settle
        break;
      }
    }
    this.#writing = undefined;
  }
}

/** @throws {SetupError} E_LOG. */
async function demandContinuation(options: GuardedLogOptions, log: Log, published: Uint8Array): Promise<void> {
  const { suite, origin, privateKey, folder } = options;
  let checkpoint: SignedCheckpoint;
  try {
    checkpoint = openCheckpoint(suite, utf8Text(published), { origin, publicKey: privateKey.publicKey });
  } catch (cause) {
    if (!(cause instanceof SecurityError || cause instanceof PeerError)) throw cause;
    throw older(options, `${shellWord(folder.pathOf(FILE))} is no checkpoint of this directory's log.`, cause);
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
