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

/**
 * Opens the audit of a data folder and writes what it lacks of what its store has. `onError` hears of lines that could not be
 * written. @throws {SetupError}, {UnavailableError} E_STORAGE.
 */
export async function openAudit(
  { suite, random, folder, store, statementLog, clock }: Directory,
  onError: (error: unknown) => void,
): Promise<{ readonly audit: Audit; readonly anchors: AuditAnchors; readonly anchorAudit: () => Promise<Anchor> }> {
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
  return { audit, anchors, anchorAudit };
}
