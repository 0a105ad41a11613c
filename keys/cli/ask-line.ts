import { createInterface } from "node:readline/promises";
import { SetupError } from "../errors.ts";

/**
 * Asks on the terminal, with echo; the question goes to stderr.
 * @throws {SetupError} E_INTERRUPTED when the person ends the input instead (Ctrl-D). The signal's reason when it is aborted.
 */
export async function askLine(question: string, signal: AbortSignal): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  terminal.once("SIGINT", () => process.kill(process.pid, "SIGINT"));
  try {
    return (await terminal.question(question, { signal })).trim();
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error) || error.name !== "AbortError") throw error;
    process.stderr.write("\n");
    throw new SetupError("E_INTERRUPTED", "Interrupted.", { next: "The same command asks again.", cause: error });
  } finally {
    terminal.close();
  }
}
