import { SetupError } from "../../keys/errors.ts";
import type { PrivateFolder } from "../../keys/private-folder.ts";
import { NOTE_BYTES } from "../../protocol/limits.ts";
import type { Database } from "../database.ts";
import { IMPORT_BEGUN, LOG_CHECKPOINT } from "../transfer.ts";
import { CHECKPOINT_FILE, sizeIn } from "./checkpoint-file.ts";

/**
 * Sees to it that nothing is begun in a store that is to be filled by an import first: one into which an import was begun and has
 * not ended, and an empty one if a log was published from here before. To be asked ahead of whatever writes into the store, as an
 * import wants an empty one. `acceptOlder`: the operator's word that there is nothing to be imported.
 * @throws {SetupError} E_LOG; {UnavailableError} E_STORAGE.
 */
export async function refuseUnfilledStore(
  database: Pick<Database, "getMany" | "isShared">,
  folders: readonly PrivateFolder[],
  acceptOlder = false,
): Promise<void> {
  const [begun, checkpoint] = await database.getMany([IMPORT_BEGUN, LOG_CHECKPOINT]);
  if (checkpoint !== undefined) return;
  const fill = `sshnp-directory import --data DIR${database.isShared ? " --store URL" : ""}`;
  if (begun !== undefined) {
    throw new SetupError("E_LOG", "An import into the store was begun and has not ended.", {
      next: `Import again what sshnp-directory export has printed: ${fill}`,
    });
  }
  if (acceptOlder) return;
  const notes = await Promise.all(folders.map((folder) => folder.read(CHECKPOINT_FILE, NOTE_BYTES)));
  const sizes = notes.flatMap((note) => (note === undefined ? [] : [sizeIn(note)]));
  if (sizes.length === 0) return;
  const what = database.isShared ? "database" : "whole data folder";
  throw new SetupError(
    "E_LOG",
    `The store is empty, and the log had ${Math.max(...sizes)} entries when this directory last ran.`,
    {
      next:
        `Fill it with what sshnp-directory export has printed: ${fill}. If the store was lost, put back the newest copy of the ` +
        `${what}; if there is none, run once with --accept-older-log: whoever has seen the log will refuse this directory from then on.`,
    },
  );
}
