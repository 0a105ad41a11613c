import { Command } from "commander";
import { printData } from "../../keys/print-data.ts";
import { VERSION } from "../../keys/version.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { runVerb } from "./run-verb.ts";

/** `sshnp version [--json]` */
export async function version(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp version")
    .description("Print the version.")
    .option("--json", "with that of Node, as JSON")
    .action(async ({ json = false }: { readonly json?: boolean }) => {
      const node = process.versions.node;
      await printData(json ? `${JSON.stringify({ v: 1, version: VERSION, node })}\n` : `${VERSION}\n`);
    });
  return await runVerb(command, words);
}
