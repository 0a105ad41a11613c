import type { CipherSuite } from "../../keys/cipher-suite.ts";
import {
  type LogEvidence,
  readSeenLog,
  type SeenLog,
  withEvidence,
  withoutPending,
  withPending,
  withWitnessed,
  writeSeenLog,
} from "../../keys/log-files.ts";
import type { Fingerprint } from "../../keys/openssh.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import type { KeyList } from "../../protocol/key-list.ts";
import { PENDING_CHECKPOINT_MS } from "../../protocol/limits.ts";
import { type LogKey, openCheckpoint, type SignedCheckpoint } from "../../protocol/log/checkpoint.ts";
import { LogEvidenceError, refuseSplitView } from "../../protocol/log/proof.ts";
import { type AskConsistency, LogFollower, type WitnessDemand } from "./log-follower.ts";

/** Where the tiles of the log are. */
interface TilesAt {
  readonly base: URL;
  readonly signal: AbortSignal;
  readonly warn: (text: string) => void;
}

/** A follower of a directory's log that goes on from what this machine has seen, and remembers what it sees. */
export interface RememberedLog {
  readonly follower: LogFollower;
  /** Waits until what was seen is on disk, or could not be written. */
  settled(): Promise<void>;
  /**
   * Has the checkpoints proved that peers have seen and this machine has not, by the tiles that the directory serves to
   * everybody. What is not proved stays; `onAlarm` hears first that something has stayed for PENDING_CHECKPOINT_MS. For the background:
   * it never rejects, and keeps no process from ending.
   */
  provePending(list: KeyList, from: TilesAt, onAlarm: (text: string) => void): Promise<void>;
}

/**
 * Opens what the keys folder remembers of the log of the directory with that root key. What is to be remembered is written
 * in the background; `onError` hears of what could not be, `onUnproved` of why a peer's checkpoint is not proved.
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
    onUnproved = onError,
    onPending,
  }: {
    readonly demand?: WitnessDemand | undefined;
    /** ms since 1970 UTC. */
    readonly now: () => number;
    readonly onError: (error: unknown) => void;
    /** Told why a checkpoint that a peer has seen is not proved yet; by default as onError. */
    readonly onUnproved?: (error: unknown) => void;
    /** Told that there is something for {@link RememberedLog.provePending}. */
    readonly onPending?: () => void;
  },
): Promise<RememberedLog> {
  const seen = await readSeenLog(folder, directory);
  let known = seen.checkpoint;
  let writing: Promise<void> = Promise.resolve();
  const write = (action: () => Promise<void>): void => {
    writing = writing.then(action).catch(onError);
  };
  const keep = async (mine: SignedCheckpoint, log: LogKey): Promise<void> => {
    const there = withWitnessed(await readSeenLog(folder, directory), follower.witnessed);
    const other = there.checkpoint === known ? undefined : openedOrNone(suite, there.checkpoint, log);
    if (other !== undefined) await refuseOther(mine, other);
    if (other === undefined || other.size === mine.size) {
      await writeSeenLog(folder, { ...there, checkpoint: mine.text });
      known = mine.text;
      return;
    }
    // Another process with this folder has gone on elsewhere, and its log need not be the one that this follower has seen:
    // the older of both is forgotten only when it is proved that the newer one continues it.
    const [older, newer] = other.size < mine.size ? [other, mine] : [mine, other];
    const pending = { since: now(), checkpoint: older.text };
    await writeSeenLog(folder, withPending({ ...there, checkpoint: newer.text }, pending));
    if (newer === mine) known = mine.text;
    onPending?.();
  };
  const refuseOther = async (mine: SignedCheckpoint, other: SignedCheckpoint): Promise<void> => {
    try {
      refuseSplitView(other, mine);
    } catch (error) {
      if (error instanceof LogEvidenceError) await keepEvidence({ found: now(), notes: error.evidence });
      throw error;
    }
  };
  const change = async (by: (seen: SeenLog) => SeenLog): Promise<void> => {
    const there = await readSeenLog(folder, directory);
    const changed = by(there);
    if (changed !== there) await writeSeenLog(folder, changed);
  };
  const keepEvidence = async (evidence: LogEvidence): Promise<void> => {
    await change((there) => withEvidence(there, evidence));
  };
  const follower = new LogFollower(suite, {
    checkpoint: seen.checkpoint ?? undefined,
    witnessed: new Map(seen.witnessed),
    demand,
    onCheckpoint: (checkpoint, log) => write(() => keep(checkpoint, log)),
    onEvidence: (notes) => write(() => keepEvidence({ found: now(), notes })),
    onOther: ({ text }) => {
      write(() => change((there) => withPending(there, { since: now(), checkpoint: text })));
      onPending?.();
    },
  });
  const provePending: RememberedLog["provePending"] = async (list, { base, signal, warn }, onAlarm) => {
    await writing;
    const { pending = [], checkpoint: newest } = await readSeenLog(folder, directory);
    // Both: another process with this folder may have seen more than this follower.
    const sides = new Set([newest ?? "", follower.checkpoint].filter((note) => note !== ""));
    if (pending.length === 0 || sides.size === 0) return;
    // Before it is asked: a directory that lets requests hang until this process ends must not keep that quiet.
    if (pending.some(({ since }) => now() - since >= PENDING_CHECKPOINT_MS)) onAlarm(ALARM);
    const { readConsistency } = await import("./log-tiles.ts");
    const ask: AskConsistency = (...sizes) => readConsistency(suite, base, sizes, { signal, warn });
    for (const { checkpoint } of pending) {
      try {
        for (const side of sides) await follower.prove(list, [side, checkpoint], ask);
        write(() => change((there) => withoutPending(there, checkpoint)));
      } catch (error) {
        onUnproved(error);
      }
    }
    await writing;
  };
  return { follower, settled: () => writing, provePending: (...words) => provePending(...words).catch(onError) };
}

function openedOrNone(suite: CipherSuite, note: string | null, log: LogKey): SignedCheckpoint | undefined {
  return note === null ? undefined : openCheckpoint(suite, note, log);
}

const ALARM =
  "for a day the directory's log has not been proved to continue a checkpoint that a peer has seen: it may show two histories; " +
  "it is asked once more, and of what stays unproved sshnp trust evidence has both sides";
