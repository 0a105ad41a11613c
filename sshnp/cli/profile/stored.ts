import { readdir } from "node:fs/promises";
import { readConfigurationFile } from "../../config/file.ts";
import { type ConfigurationPaths, configurationPaths } from "../../config/paths.ts";
import { noSuchProfile, type ProfileName, parseProfileName, profileFile } from "../../config/profile.ts";
import type { Settings } from "../../config/setting.ts";
import { parseSettings } from "../../config/toml.ts";

export function paths(): ConfigurationPaths {
  return configurationPaths(process.env);
}

/** The settings of a profile; undefined when there is no such profile. @throws {SetupError} */
export async function readProfile(name: ProfileName): Promise<Settings | undefined> {
  const path = profileFile(paths(), name);
  const text = await readConfigurationFile(path);
  return text === undefined ? undefined : parseSettings(text, path);
}

/** @throws {SetupError} E_USAGE when there is no such profile. */
export async function demandProfile(
  text: string,
): Promise<{ readonly name: ProfileName; readonly settings: Settings }> {
  const name = parseProfileName(text);
  const settings = await readProfile(name);
  if (settings === undefined) throw noSuchProfile(name);
  return { name, settings };
}

/** By name. Files that cannot be a profile's are passed over. */
export async function listProfiles(): Promise<ProfileName[]> {
  const files = await readdir(paths().profiles).catch(() => []);
  return files
    .filter((file) => file.endsWith(".toml"))
    .flatMap((file) => {
      try {
        return [parseProfileName(file.slice(0, -".toml".length))];
      } catch {
        return [];
      }
    })
    .sort();
}
