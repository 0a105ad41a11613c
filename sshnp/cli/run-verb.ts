import { type Command, CommanderError } from "commander";
import { tellUsageErrorsAsOurs } from "../../keys/command-line.ts";
import type { CommandEnd } from "../ssh-process.ts";

/**
 * Runs a verb of sshnp on the words after it. Its exit status is process.exitCode, which the verb may set. A failure is returned
 * for main to tell, in JSON when `--json` was given.
 */
export async function runVerb(command: Command, words: readonly string[]): Promise<CommandEnd> {
  const json = words.includes("--json");
  tellUsageErrorsAsOurs(command);
  try {
    await command.parseAsync(words, { from: "user" });
    return { status: Number(process.exitCode ?? 0), error: undefined };
  } catch (error) {
    // The help was printed, because it was asked for or because nothing was.
    if (error instanceof CommanderError) return { status: error.exitCode === 0 ? 0 : 2, error: undefined };
    return { status: 1, error, json };
  }
}
