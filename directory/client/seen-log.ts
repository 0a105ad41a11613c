import type { CipherSuite } from "../../keys/cipher-suite.ts";
import { type LogEvidence, readSeenLog, withEvidence, writeSeenLog } from "../../keys/log-files.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { LogFollower, type WitnessDemand } from "./log-follower.ts";

/** A follower of a directory's log that goes on from what this machine has seen, and remembers what it sees. */
export interface RememberedLog {
  readonly follower: LogFollower;
  /** Waits until what was seen is on disk, or could not be written. */
  settled(): Promise<void>;
}

/**
 * Opens what the keys folder remembers of the log of the directory with that root key. What is to be remembered is written
 * in the background; `onError` hears of what could not be.
 * @throws {SetupError} E_BAD_KEY_FILE, E_KEY_PERMISSIONS, E_STORAGE.
 */
export async function openSeenLog(
  suite: CipherSuite,
  folder: PrivateFolder,
  directory: Fingerprint,
  {
    demand,
    now,
    onError,
  }: {
    readonly demand?: WitnessDemand | undefined;
    /** ms since 1970 UTC. */
    readonly now: () => number;
    readonly onError: (error: unknown) => void;
  },
): Promise<RememberedLog> {
  const seen = await readSeenLog(folder, directory);
  let known = seen.checkpoint;
  let writing: Promise<void> = Promise.resolve();
  const write = (action: () => Promise<void>): void => {
    writing = writing.then(action).catch(onError);
  };
  const keep = async (checkpoint: string): Promise<void> => {
    const there = await readSeenLog(folder, directory);
    // What another process has seen since stays: the next proof has to begin there.
    if (there.checkpoint !== known) return;
    await writeSeenLog(folder, { ...there, checkpoint });
    known = checkpoint;
  };
  const keepEvidence = async (evidence: LogEvidence): Promise<void> => {
    await writeSeenLog(folder, withEvidence(await readSeenLog(folder, directory), evidence));
  };
  const follower = new LogFollower(suite, {
    checkpoint: seen.checkpoint ?? undefined,
    demand,
    onCheckpoint: ({ text }) => write(() => keep(text)),
    onEvidence: (notes) => write(() => keepEvidence({ found: now(), notes })),
  });
  return { follower, settled: () => writing };
}
