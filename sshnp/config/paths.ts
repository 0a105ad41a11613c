import { statSync } from "node:fs";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where settings may lie on this machine; absolute paths all. */
export interface ConfigurationPaths {
  /** `/etc/sshnp/config.toml`, or what SSHNP_SYSTEM_CONFIG names. */
  readonly system: string;
  /** `$XDG_CONFIG_HOME/sshnp`, else `~/.config/sshnp`. */
  readonly folder: string;
  /** The user's settings. */
  readonly user: string;
  /** One TOML file for each profile. */
  readonly profiles: string;
  /** Holds the name of the profile that `sshnp profile use` has chosen. */
  readonly inUse: string;
}

export function configurationPaths(env: Environment): ConfigurationPaths {
  // The XDG Base Directory Specification has relative paths ignored.
  const given = env["XDG_CONFIG_HOME"] ?? "";
  const folder = join(isAbsolute(given) ? given : join(homedir(), ".config"), "sshnp");
  return {
    system: env["SSHNP_SYSTEM_CONFIG"] || "/etc/sshnp/config.toml",
    folder,
    user: join(folder, "config.toml"),
    profiles: join(folder, "profiles"),
    inUse: join(folder, "profile"),
  };
}

/** Whether there is anything to read, or to tell of as unreadable: all that a start without configuration pays. */
export function hasConfiguration(env: Environment): boolean {
  if (env["SSHNP_PROFILE"]) return true;
  const { system, user, inUse } = configurationPaths(env);
  return [system, user, inUse].some(mayBeThere);
}

function mayBeThere(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return true; // whoever reads it tells why it cannot be
  }
}
