import { Command, CommanderError } from "commander";
import { tellUsageErrorsAsOurs } from "../../keys/command-line.ts";
import type { CommandEnd } from "../ssh-process.ts";
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
  let status = 0;
  command.addCommand(evidenceCommand(() => (status = 1)));
  tellUsageErrorsAsOurs(command);
  try {
    await command.parseAsync(words, { from: "user" });
    return { status, error: undefined };
  } catch (error) {
    // The help was printed, because it was asked for or because nothing was.
    if (error instanceof CommanderError) return { status: error.exitCode === 0 ? 0 : 2, error: undefined };
    throw error;
  }
}
