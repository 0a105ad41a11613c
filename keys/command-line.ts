import { type Command, CommanderError } from "commander";
import { EXIT_STATUS, SetupError } from "./errors.ts";
import { printError } from "./print-error.ts";

/**
 * Runs the command line of this process and returns its exit status. Whatever fails is told on stderr as
 * {@link printError} does, and commander's own findings (an unknown option, say) in the same form, with E_USAGE.
 */
export async function runCommandLine(program: Command): Promise<number> {
  tellUsageErrorsAsOurs(program);
  for (const stream of [process.stdout, process.stderr]) {
    // A service has a handler of its own: its sessions are worth more than its words.
    stream.on("error", (error) => stream.listenerCount("error") > 1 || endUnlessReaderIsGone(error));
  }
  try {
    await program.parseAsync();
    return Number(process.exitCode ?? 0); // a command may have an answer of its own
  } catch (error) {
    if (!(error instanceof CommanderError)) return printError(program.name(), error);
    return error.exitCode === 0 ? 0 : 2; // the help was printed, because it was asked for or because nothing was
  }
}

/** `... --help | head` is no failure, nor is a terminal that was closed; a full disk under what was asked for is one. */
function endUnlessReaderIsGone({ code }: NodeJS.ErrnoException): void {
  if (code !== "EPIPE" && code !== "EIO") process.exit(EXIT_STATUS.E_STORAGE);
}

/** Makes commander throw its findings as {@link SetupError} E_USAGE instead of printing them; help and version stay its own. */
export function tellUsageErrorsAsOurs(command: Command, words: string = command.name()): void {
  command.configureOutput({ outputError: () => {} });
  command.exitOverride((error) => {
    if (error.code === "commander.missingMandatoryOptionValue") refuseUnknownOption(command);
    throw error.exitCode === 0 || error.code === "commander.help" ? error : usageError(error, words);
  });
  for (const subcommand of command.commands) tellUsageErrorsAsOurs(subcommand, `${words} ${subcommand.name()}`);
}

/**
 * Commander looks for what is missing ahead of what is unknown, and an option that was mistyped is both. So where nothing is
 * mandatory any more it reads again what no known option has taken, and throws what it finds, with the option that was
 * probably meant.
 */
function refuseUnknownOption(command: Command): void {
  if (!command.args.some((word) => /^--?[a-z]/i.test(word))) return;
  for (const option of command.options) option.makeOptionMandatory(false);
  command.action(() => {}).parse(command.args, { from: "user" });
}

function usageError({ message }: CommanderError, words: string): SetupError {
  const fact = message
    .replace(/^error: /, "")
    .replace(/'(--?[^=']+)=[^']*'/, "'$1'") // the value may be a secret
    .replace(/\s+/g, " ")
    .replace(/\.?$/, ".");
  return new SetupError("E_USAGE", fact.charAt(0).toUpperCase() + fact.slice(1), { next: `See: ${words} --help` });
}
