import { SetupError } from "../keys/errors.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { holdRunningFile } from "../keys/running-file.ts";
import { shellWord } from "../keys/shell-word.ts";

/**
 * Makes sure that one rendezvous or witness at a time works with a data folder, which is made when it is missing: two would
 * register at the directory by turns, or cosign two histories with one key. Disposing of it gives it back.
 * @throws {SetupError} E_RUNNING when another one has it; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function takeDataFolder(path: string): Promise<Disposable> {
  const folder = await PrivateFolder.openOrCreate(path);
  const held = await holdRunningFile(folder, "running", (other) => {
    return new SetupError("E_RUNNING", `Another sshnp-rendezvous runs with ${shellWord(path)} already${other}.`, {
      next: "Leave that one running, or stop it first. A second one needs a folder of its own: --data FOLDER",
    });
  });
  return { [Symbol.dispose]: () => held.release() };
}
