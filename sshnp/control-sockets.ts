import { execFile } from "node:child_process";
import { lstat, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { MASTER_STOP_MS } from "../protocol/limits.ts";

const execute = promisify(execFile);

/**
 * Has the masters take no more sessions that have their control sockets, of the names that ssh-config-block.ts gives them, in
 * `folder`: each ends with the last session that it has, or at once. Returns how many there were. Sockets that were left behind go.
 */
export async function stopSharing(folder: string): Promise<number> {
  let masters = 0;
  for (const path of await controlSockets(folder)) {
    // Not `exit`, which would end sessions that people are in.
    const asked = execute("ssh", ["-F", "none", "-S", path, "-O", "stop", "x"], { timeout: MASTER_STOP_MS });
    const how = await asked.then(
      () => "stopped",
      (error: unknown) => (error instanceof Error && "killed" in error && error.killed === true ? "hangs" : "gone"),
    );
    if (how === "stopped") masters++;
    if (how !== "hangs") await rm(path, { force: true });
  }
  return masters;
}

async function controlSockets(folder: string): Promise<string[]> {
  const user = process.getuid?.();
  const found: string[] = [];
  const names = await readdir(folder).catch(() => []); // it may be gone
  for (const path of names.filter((name) => /^sshnp-[0-9a-f]{40}$/.test(name)).map((name) => join(folder, name))) {
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isSocket() === true && stats.uid === user) found.push(path);
  }
  return found;
}
