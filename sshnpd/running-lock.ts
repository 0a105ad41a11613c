import { ftruncateSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { SetupError } from "../keys/errors.ts";
import { holdFile } from "../keys/held-file.ts";
import type { MemberName, Name } from "../keys/names.ts";
import { PrivateFolder } from "../keys/private-folder.ts";

export interface RunningLock {
  /** Gives it back and leaves nothing; the end of the process gives it back as well. */
  release(): Promise<void>;
}

/**
 * Makes sure that one daemon at a time uses a member's keys from this folder, on this machine or in containers that share
 * the folder: by a lock on a file beside them, see keys/held-file.ts. What stands in it is told to people and never relied on.
 * @throws {SetupError} E_RUNNING when another daemon has it; E_STORAGE, E_KEY_PERMISSIONS.
 */
export async function takeRunningLock(
  keys: PrivateFolder,
  { name, member }: { readonly name: Name; readonly member: MemberName },
): Promise<RunningLock> {
  const folder = await PrivateFolder.openOrCreate(join(keys.path, "state"));
  let other = "";
  const held = await holdFile(folder, `running.${name}.${member}`, {
    wait: 0,
    whenTaken: (descriptor) => (other = processIn(descriptor)),
  });
  if (held === undefined) {
    throw new SetupError("E_RUNNING", `Another sshnpd runs with the keys of ${member} of ${name} already${other}.`, {
      next: "Leave that one running, or stop it first. A second device needs a name of its own: sshnpd -d NAME",
    });
  }
  ftruncateSync(held.descriptor);
  writeSync(held.descriptor, `${process.pid}\n`, 0);
  return {
    release: async () => {
      held.release();
      await folder.removeMade();
    },
  };
}

/** Right on this machine; a daemon in a container wrote the number that it has there. */
function processIn(descriptor: number): string {
  const text = readFileSync(descriptor, "utf8");
  return /^[0-9]{1,10}\n$/.test(text) ? ` (process ${text.trimEnd()})` : "";
}
