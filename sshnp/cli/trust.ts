import { Command } from "commander";
import type { CommandEnd } from "../ssh-process.ts";
import { runVerb } from "./run-verb.ts";
import { acceptCommand } from "./trust/accept.ts";
import { evidenceCommand } from "./trust/evidence.ts";
import { forgetCommand } from "./trust/forget.ts";
import { lsCommand } from "./trust/ls.ts";
import { showCommand } from "./trust/show.ts";

/** The verbs, in the order in which the help has them. */
const VERBS: readonly (() => Command)[] = [lsCommand, showCommand, acceptCommand, forgetCommand];

/** `sshnp trust ...`: looks at the pins and changes them. */
export async function trust(words: readonly string[]): Promise<CommandEnd> {
  const command = new Command("sshnp trust")
    .description("The keys that this machine holds its peers to: owner keys of names, SSH host keys of devices.")
    .addHelpText("after", "\nHOST is a device such as mygateway.device.np, NAME a name such as @device.");
  for (const verb of VERBS) command.addCommand(verb());
  command.addCommand(evidenceCommand(() => (process.exitCode = 1)));
  return await runVerb(command, words);
}
