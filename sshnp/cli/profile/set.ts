import { Command } from "commander";
import { SetupError } from "../../../keys/errors.ts";
import { quoted } from "../../../keys/names.ts";
import { parseProfileName, profileFile } from "../../config/profile.ts";
import { SETTINGS } from "../../config/setting.ts";
import { printSettings, writeConfigurationFile } from "../../config/write-file.ts";
import { paths, readProfile } from "./stored.ts";

export function setCommand(): Command {
  return new Command("set")
    .description(
      "Set something in a profile, which is made if it is not there. KEY= takes it out. The file is written anew.",
    )
    .argument("<profile>", "its name")
    .argument(
      "<key=value...>",
      "client=@alice, device=@acme, user=pi, directory=ADDRESS, keys=FOLDER, wait=10m, session-key=yes, witnesses=K:KEY,KEY",
    )
    .action(set);
}

async function set(text: string, words: readonly string[]): Promise<void> {
  const name = parseProfileName(text);
  const settings = new Map((await readProfile(name)) ?? []);
  for (const word of words) {
    const [, key = "", value = ""] = /^([a-z-]+)=(.*)$/s.exec(word) ?? [];
    const setting = SETTINGS.get(key);
    if (setting === undefined) {
      throw new SetupError("E_USAGE", `${quoted(word)} sets nothing that there is.`, {
        next: `Settings are ${[...SETTINGS.keys()].join(", ")}: sshnp profile set ${name} client=@client`,
      });
    }
    if (value === "") settings.delete(key);
    else settings.set(key, setting.parse(value));
  }
  await writeConfigurationFile(profileFile(paths(), name), printSettings(settings));
}
