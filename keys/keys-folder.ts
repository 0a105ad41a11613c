import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

/** Where keys lie: the flag, else SSHNP_KEYS, else `$XDG_DATA_HOME/sshnp/keys`, else `~/.local/share/sshnp/keys`. */
export function keysFolderPath(flag: string | undefined, environment: NodeJS.ProcessEnv): string {
  const given = flag ?? (environment["SSHNP_KEYS"] || undefined);
  if (given !== undefined) return given;
  // The XDG Base Directory Specification has relative paths ignored.
  const data = environment["XDG_DATA_HOME"] ?? "";
  return join(isAbsolute(data) ? data : join(homedir(), ".local", "share"), "sshnp", "keys");
}
