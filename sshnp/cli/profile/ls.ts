import { Command } from "commander";
import { printData } from "../../../keys/print-data.ts";
import { table } from "../../../keys/table.ts";
import { profileInUse } from "../../config/profile.ts";
import { listProfiles, paths, readProfile } from "./stored.ts";

export function lsCommand(): Command {
  return new Command("ls")
    .description("List the profiles of this account; * stands at the one in use.")
    .option("--json", "print it as JSON, with the settings of each")
    .action(ls);
}

async function ls({ json = false }: { readonly json?: boolean }): Promise<void> {
  const inUse = await profileInUse(paths(), process.env);
  const profiles = [];
  for (const name of await listProfiles()) {
    profiles.push({ name, inUse: name === inUse, settings: Object.fromEntries((await readProfile(name)) ?? []) });
  }
  if (json) return await printData(`${JSON.stringify({ v: 1, profiles })}\n`);
  const rows = profiles.map((profile) => [
    profile.inUse ? "*" : " ",
    profile.name,
    profile.settings["client"] ?? "",
    profile.settings["device"] ?? "",
  ]);
  await printData(table(rows));
}
