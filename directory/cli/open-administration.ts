import { interruption } from "../../keys/interruption.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { loadSuite } from "../../protocol/suite/load.ts";
import { connectAdministration } from "../admin-socket.ts";
import { administer, type Administration } from "../administration.ts";
import { openAudit } from "../audit/open.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { timeOf } from "../database-clock.ts";
import { openDataFolder, openStore } from "../data-folder.ts";
import { Keyring } from "../keyring.ts";
import { Log } from "../log/log.ts";
import { refuseUnfilledStore } from "../log/unfilled-store.ts";
import { RendezvousRegistry } from "../rendezvous-registry.ts";
import { type DataOptions, keysFolder } from "./data-options.ts";
import { random } from "./random.ts";

/**
 * Runs `action` on the directory in a data folder: through the process that serves it, else on the store itself.
 * @throws {SetupError} E_NO_KEYS, E_KEY_PERMISSIONS, E_RUNNING, E_STORAGE, E_USAGE, E_LOG; as `action`.
 */
export async function withAdministration<T>(
  options: DataOptions,
  action: (administration: Administration, folder: PrivateFolder) => Promise<T>,
): Promise<T> {
  const folder = await openDataFolder(options.data);
  const remote = await connectAdministration(folder);
  if (remote !== undefined) return await action(remote, folder);
  const primitives = { suite: await loadSuite(process.env["SSHNP_CRYPTO"]), random };
  await using store = await openStore(folder, { url: options.store, signal: interruption("Run the command again.") });
  const now = await timeOf(store.database);
  const clock = { ...SYSTEM_CLOCK, now: () => now };
  const keys = await keysFolder(options, folder);
  await refuseUnfilledStore(store.database, [folder, keys]);
  const keyring = await Keyring.open(primitives, keys, store, now);
  const log = await Log.open({
    ...{ suite: primitives.suite, database: store.database, privateKey: keyring.log, origin: keyring.origin },
  });
  const registry = await RendezvousRegistry.load(primitives, store, keyring, log);
  const { audit, anchorAudit } = await openAudit({ ...primitives, folder, store, statementLog: log, clock }, () => {});
  try {
    return await action(administer({ store, registry, audit, statementLog: log, anchorAudit, clock }), folder);
  } finally {
    await audit.close();
  }
}
