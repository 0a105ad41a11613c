import { Command } from "commander";
import { readConfigurationFile } from "../../config/file.ts";
import { noSuchProfile, parseProfileName, profileFile } from "../../config/profile.ts";
import { removeConfigurationFile } from "../../config/write-file.ts";
import { listProfiles, paths } from "./stored.ts";

export function rmCommand(): Command {
  return new Command("rm")
    .description("Remove a profile. If it was chosen with use, none is from then on.")
    .argument("<profile>", "its name")
    .action(rm);
}

async function rm(text: string): Promise<void> {
  const name = parseProfileName(text);
  if (!(await listProfiles()).includes(name)) throw noSuchProfile(name);
  const { inUse } = paths();
  if ((await readConfigurationFile(inUse))?.trimEnd() === name) await removeConfigurationFile(inUse);
  await removeConfigurationFile(profileFile(paths(), name));
}
