import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { SetupError } from "./errors.ts";

/**
 * Where keys lie: the flag, else SSHNP_KEYS, else `$XDG_DATA_HOME/sshnp/keys`, else `~/.local/share/sshnp/keys`.
 * @throws {SetupError} E_USAGE when the flag is empty, which is a variable that was not set and no wish for this folder.
 */
export function keysFolderPath(flag: string | undefined, environment: NodeJS.ProcessEnv): string {
  if (flag === "") {
    throw new SetupError("E_USAGE", "--keys is empty.", { next: "Give a folder, or leave it out." });
  }
  const given = flag ?? (environment["SSHNP_KEYS"] || undefined);
  if (given !== undefined) return given;
  // The XDG Base Directory Specification has relative paths ignored.
  const data = environment["XDG_DATA_HOME"] ?? "";
  return join(isAbsolute(data) ? data : join(homedir(), ".local", "share"), "sshnp", "keys");
}
