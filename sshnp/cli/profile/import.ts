import { basename } from "node:path";
import { Command } from "commander";
import { SetupError } from "../../../keys/errors.ts";
import { readOutside } from "../../../keys/outside-files.ts";
import { printable } from "../../../keys/print-error.ts";
import { shellWord } from "../../../keys/shell-word.ts";
import { CONFIGURATION_BYTES } from "../../../protocol/limits.ts";
import { parseProfileName, profileFile } from "../../config/profile.ts";
import { printSettings, writeConfigurationFile } from "../../config/write-file.ts";
import { parseNoPortsProfile } from "../../noports-profile.ts";
import { listProfiles, paths } from "./stored.ts";

export function importCommand(): Command {
  return new Command("import")
    .description(
      "Make a profile of one of NoPorts, ~/.sshnp/config/NAME.env. What has no place in it is named on stderr.",
    )
    .argument("<file>", "the file")
    .option("--as <name>", "what to call it; as the file is called if not said")
    .action(importProfile);
}

async function importProfile(file: string, { as }: { readonly as?: string }): Promise<void> {
  const name = parseProfileName(
    as ??
      basename(file)
        .replace(/\.env$/, "")
        .toLowerCase(),
  );
  if ((await listProfiles()).includes(name)) {
    throw new SetupError("E_KEY_EXISTS", `There is a profile ${name} already, which is not overwritten.`, {
      next: `Give another name with --as, or remove it: sshnp profile rm ${name}`,
    });
  }
  const bytes = await readOutside(file, CONFIGURATION_BYTES);
  const { settings, notes } = parseNoPortsProfile(Buffer.from(bytes).toString("utf8"));
  if (settings.size === 0) {
    throw new SetupError("E_USAGE", `${shellWord(file)} says nothing that a profile can say.`, {
      next: "A profile of NoPorts has lines such as FROM=@client and TO=@device.",
    });
  }
  await writeConfigurationFile(profileFile(paths(), name), printSettings(settings));
  process.stderr.write(notes.map((note) => `sshnp: ${printable(note)}\n`).join(""));
}
