import type { CipherSuite, RandomBytes } from "../../keys/cipher-suite.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { Audit } from "../audit.ts";
import type { Clock } from "../clock.ts";
import type { Log } from "../log/log.ts";
import type { Store } from "../store.ts";
import { type Anchor, anchoredHead, AuditAnchors } from "./anchors.ts";

interface Directory {
  readonly suite: CipherSuite;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  readonly store: Store;
  readonly statementLog: Log;
  readonly clock: Clock;
}

export interface OpenedAudit {
  readonly audit: Audit;
  readonly anchors: AuditAnchors;
  /** As {@link AuditAnchors.anchor}. */
  readonly anchorAudit: () => Promise<Anchor>;
  /** The same from time to time, and nothing otherwise. */
  readonly anchorWhenDue: () => Promise<void>;
}

/**
 * Opens the audit of a data folder and writes what it lacks of what its store has. `onError` hears of lines that could not be
 * written. @throws {SetupError}, {UnavailableError} E_STORAGE.
 */
export async function openAudit(
  { suite, random, folder, store, statementLog, clock }: Directory,
  onError: (error: unknown) => void,
): Promise<OpenedAudit> {
  const { database } = store;
  const audit = await Audit.open({
    ...{ suite, random, folder, onError },
    logSize: statementLog.checkpoint.size,
    anchored: (directory) => anchoredHead(database, directory),
  });
  const anchors = new AuditAnchors(audit, database, clock.monotonic());
  await anchors.recover();
  const anchorAudit = (): Promise<Anchor> =>
    anchors.anchor(statementLog, clock.monotonic(), (action) => store.exclusively(action));
  const anchorWhenDue = async (): Promise<void> => {
    if (anchors.isDue(clock.monotonic())) await anchorAudit();
  };
  return { audit, anchors, anchorAudit, anchorWhenDue };
}
