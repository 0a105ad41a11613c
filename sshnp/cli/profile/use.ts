import { Command } from "commander";
import { SetupError } from "../../../keys/errors.ts";
import { removeConfigurationFile, writeConfigurationFile } from "../../config/write-file.ts";
import { demandProfile, paths } from "./stored.ts";

export function useCommand(): Command {
  return new Command("use")
    .description("Choose the profile that counts from now on; SSHNP_PROFILE and sshnp --profile count for more.")
    .argument("[profile]", "its name")
    .option("--none", "none from now on")
    .action(use);
}

async function use(text: string | undefined, { none = false }: { readonly none?: boolean }): Promise<void> {
  if ((text !== undefined) === none) {
    throw new SetupError("E_USAGE", "Which profile to use is missing, or there is more than one answer.", {
      next: "sshnp profile use NAME, or sshnp profile use --none",
    });
  }
  if (text === undefined) return await removeConfigurationFile(paths().inUse);
  const { name } = await demandProfile(text);
  await writeConfigurationFile(paths().inUse, `${name}\n`);
}
