import { readdirSync } from "node:fs";
import { join } from "node:path";
import { keysFolderPath } from "../keys/keys-folder.ts";
import { type MemberName, type Name, parseHostName } from "../keys/names.ts";

export interface KnownDevice {
  readonly name: Name;
  readonly member: MemberName;
}

/** The same for hints: none where nothing is pinned yet, or nothing can be read. `folder`: the keys folder, if not that of the settings. */
export function knownDevices(folder?: string): KnownDevice[] {
  try {
    return pinnedDevices(process.env, folder);
  } catch {
    return [];
  }
}

/**
 * The devices that this machine has pinned, by the files of their host keys; other files there are passed over. Nothing is asked of
 * the network. Throws what readdir throws.
 */
export function pinnedDevices(env: Readonly<Record<string, string | undefined>>, folder?: string): KnownDevice[] {
  const files = readdirSync(join(keysFolderPath(folder, env), "state"));
  return files.filter((file) => file.startsWith(PREFIX)).flatMap((file) => deviceOf(file.slice(PREFIX.length)));
}

const PREFIX = "known_hosts.";

function deviceOf(host: string) {
  try {
    return [parseHostName(host)];
  } catch {
    return []; // somebody's own copy
  }
}
