import { execFile } from "node:child_process";
import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

/**
 * Has the masters take no more sessions that have their control sockets, of the names that ssh-config-block.ts gives them, in one of
 * `folders`: each ends with the last session that it has, or at once. Returns how many there were. `signal` ends the asking.
 */
export async function stopSharing(folders: readonly string[], signal: AbortSignal): Promise<number> {
  let masters = 0;
  for (const path of await controlSockets(folders)) {
    // Not `exit`, which would end sessions that people are in.
    const asked = execute("ssh", ["-F", "none", "-S", path, "-O", "stop", "x"], { signal });
    masters += await asked.then(
      () => 1,
      () => 0, // it was killed, or hangs
    );
    await rm(path, { force: true });
  }
  return masters;
}

async function controlSockets(folders: readonly string[]): Promise<string[]> {
  const user = process.getuid?.();
  const found: string[] = [];
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => []); // it may be gone
    for (const path of names.filter((name) => /^sshnp-[0-9a-f]{40}$/.test(name)).map((name) => join(folder, name))) {
      const stats = await lstat(path).catch(() => undefined);
      if (stats?.isSocket() === true && stats.uid === user) found.push(path);
    }
  }
  return found;
}
