import { Argument, Command } from "commander";
import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { meantVerb } from "../meant.ts";
import type { CommandEnd } from "../ssh-process.ts";
import { runVerb } from "./run-verb.ts";

/** `sshnp help [command [subcommand]]`: what `--help` behind the same words prints. `run` runs words of sshnp. */
export function helpOn(
  verbs: readonly string[],
  run: (words: readonly string[]) => Promise<CommandEnd>,
): (words: readonly string[]) => Promise<CommandEnd> {
  const parse = (word: string): string => {
    if (verbs.includes(word)) return word;
    const meant = meantVerb(word, verbs);
    throw new SetupError(
      "E_USAGE",
      `sshnp has no command ${quoted(word)}.${meant === undefined ? "" : ` Did you mean ${meant}?`}`,
      {
        next: "All commands: sshnp --help",
      },
    );
  };
  return async (words) => {
    let end: CommandEnd = { status: 0, error: undefined };
    const command = new Command("sshnp help")
      .description("Print the help of sshnp, or of one of its commands.")
      .addArgument(new Argument("[command]", "one of them").choices([...verbs].sort()).argParser(parse))
      .addArgument(new Argument("[subcommand]", "and one of its own"))
      .action(async (...named: readonly unknown[]) => {
        end = await run([...named.slice(0, 2).filter((word) => typeof word === "string"), "--help"]);
      });
    const own = await runVerb(command, words);
    return own.error === undefined && own.status === 0 ? end : own;
  };
}
