import { join } from "node:path";
import { SetupError } from "../keys/errors.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { PrivateFolder } from "../keys/private-folder.ts";
import { holdRunningFile } from "../keys/running-file.ts";

export interface RunningLock {
  /** Gives it back and leaves nothing; the end of the process gives it back as well. */
  release(): Promise<void>;
}

/**
 * Makes sure that one daemon at a time uses a member's keys from this folder, as {@link holdRunningFile} does it.
 * @throws {SetupError} E_RUNNING when another daemon has it; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function takeRunningLock(
  keys: PrivateFolder,
  { name, member }: { readonly name: Name; readonly member: MemberName },
): Promise<RunningLock> {
  const folder = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  const held = await holdRunningFile(folder, `running.${name}.${member}`, (other) => {
    return new SetupError("E_RUNNING", `Another sshnpd runs with the keys of ${member} of ${name} already${other}.`, {
      next: "Leave that one running, or stop it first. A second device needs a name of its own: sshnpd -d NAME",
    });
  });
  return {
    release: async () => {
      held.release();
      await folder.removeMade();
    },
  };
}
