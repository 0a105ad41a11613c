import { Command } from "commander";
import { printData } from "../../../keys/print-data.ts";
import { printable } from "../../../keys/print-error.ts";
import { table } from "../../../keys/table.ts";
import { readConfiguration } from "../../config/apply.ts";
import { SETTINGS } from "../../config/setting.ts";
import { printSettings } from "../../config/write-file.ts";
import { demandProfile, paths } from "./stored.ts";

export function showCommand(): Command {
  return new Command("show")
    .description("Show the settings of a profile; without a name, what counts here and now, and where it is set.")
    .argument("[profile]", "its name")
    .option("--json", "print it as JSON")
    .action(show);
}

async function show(name: string | undefined, { json = false }: { readonly json?: boolean }): Promise<void> {
  if (name === undefined) return await showWhatCounts(json);
  const profile = await demandProfile(name);
  const settings = Object.fromEntries(profile.settings);
  await printData(
    json ? `${JSON.stringify({ v: 1, name: profile.name, settings })}\n` : printSettings(profile.settings),
  );
}

async function showWhatCounts(json: boolean): Promise<void> {
  const files = await readConfiguration(paths(), process.env);
  const settings = [...SETTINGS].flatMap(([key, { variable }]) => {
    const ofVariable = process.env[variable] || undefined;
    if (ofVariable !== undefined) return [{ key, value: ofVariable, from: variable }];
    const file = files.find((candidate) => candidate.settings.has(key));
    return file === undefined ? [] : [{ key, value: file.settings.get(key) ?? "", from: file.path }];
  });
  if (json) return await printData(`${JSON.stringify({ v: 1, settings })}\n`);
  await printData(table(settings.map(({ key, value, from }) => [key, printable(value), printable(from)])));
}
