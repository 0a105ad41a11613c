import { Argument, Command } from "commander";
import type { CommandEnd } from "../ssh-process.ts";
import { runVerb } from "./run-verb.ts";

/** `sshnp help [command [subcommand]]`: what `--help` behind the same words prints. `run` runs words of sshnp. */
export function helpOn(
  verbs: readonly string[],
  run: (words: readonly string[]) => Promise<CommandEnd>,
): (words: readonly string[]) => Promise<CommandEnd> {
  return async (words) => {
    let end: CommandEnd = { status: 0, error: undefined };
    const command = new Command("sshnp help")
      .description("Print the help of sshnp, or of one of its commands.")
      .addArgument(new Argument("[command]", "one of them").choices([...verbs].sort()))
      .addArgument(new Argument("[subcommand]", "and one of its own"))
      .action(async (...named: readonly unknown[]) => {
        end = await run([...named.slice(0, 2).filter((word) => typeof word === "string"), "--help"]);
      });
    const own = await runVerb(command, words);
    return own.error === undefined && own.status === 0 ? end : own;
  };
}
