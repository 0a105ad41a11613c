import { readConfigurationFile } from "./file.ts";
import { type ConfigurationPaths, configurationPaths } from "./paths.ts";
import { noSuchProfile, profileFile, profileInUse } from "./profile.ts";
import { SETTINGS, type Settings } from "./setting.ts";
import { parseSettings } from "./toml.ts";

/** A file with settings. */
export interface SettingsFile {
  readonly path: string;
  readonly settings: Settings;
}

/**
 * Gives the variables that `env` lacks the values of the profile in use, else of the user's configuration file, else of the
 * machine's. Whoever reads a variable afterwards, a child process included, finds one answer; and an option of the command
 * line counts for more than a variable in any case.
 * @throws {SetupError} E_USAGE with file and line; E_STORAGE.
 */
export async function applyConfiguration(env: Record<string, string | undefined>): Promise<void> {
  for (const { settings } of await readConfiguration(configurationPaths(env), env)) {
    for (const [key, value] of settings) {
      const variable = SETTINGS.get(key)?.variable;
      if (variable !== undefined) env[variable] ||= value;
    }
  }
}

/** The files that there are, the one that counts for most first. @throws {SetupError} */
export async function readConfiguration(
  paths: ConfigurationPaths,
  env: Readonly<Record<string, string | undefined>>,
): Promise<SettingsFile[]> {
  const profile = await profileInUse(paths, env);
  const files: SettingsFile[] = [];
  const ofProfile = profile === undefined ? undefined : profileFile(paths, profile);
  for (const path of [ofProfile, paths.user, paths.system]) {
    const text = path === undefined ? undefined : await readConfigurationFile(path);
    if (path !== undefined && text !== undefined) files.push({ path, settings: parseSettings(text, path) });
    else if (path === ofProfile && profile !== undefined) throw noSuchProfile(profile);
  }
  return files;
}
