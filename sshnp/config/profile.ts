import { join } from "node:path";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { readConfigurationFile } from "./file.ts";
import type { ConfigurationPaths } from "./paths.ts";

/** What a set of settings is called; its file has the same name. */
export type ProfileName = string & { readonly brand: "ProfileName" };

/** @throws {SetupError} E_USAGE when `text` cannot be what a profile is called. `from`: where it stands. */
export function parseProfileName(text: string, from?: string): ProfileName {
  if (!/^[a-z0-9][a-z0-9_-]{0,35}$/.test(text)) {
    throw new SetupError(
      "E_USAGE",
      `${from === undefined ? "" : `${from}: `}${quoted(text)} is no name for a profile.`,
      {
        next: "It is 1 to 36 of a-z, 0-9, hyphen and underscore, and begins with a letter or digit.",
      },
    );
  }
  return text as ProfileName;
}

export function profileFile(paths: ConfigurationPaths, name: ProfileName): string {
  return join(paths.profiles, `${name}.toml`);
}

/** The profile that counts: that of SSHNP_PROFILE (or --profile), else the one that was chosen for good. @throws {SetupError} */
export async function profileInUse(
  paths: ConfigurationPaths,
  env: Readonly<Record<string, string | undefined>>,
): Promise<ProfileName | undefined> {
  const given = env["SSHNP_PROFILE"] || undefined;
  if (given !== undefined) return parseProfileName(given, "SSHNP_PROFILE");
  const text = (await readConfigurationFile(paths.inUse))?.trimEnd();
  return text === undefined || text === "" ? undefined : parseProfileName(text, paths.inUse);
}

export function noSuchProfile(name: ProfileName): SetupError {
  return new SetupError("E_USAGE", `There is no profile ${quoted(name)}.`, {
    next: `Those that are there: sshnp profile ls. To make it: sshnp profile set ${name} client=@client`,
  });
}
