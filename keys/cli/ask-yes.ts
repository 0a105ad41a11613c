import { createInterface } from "node:readline";
import { SetupError } from "../errors.ts";

/**
 * Asks a person on the terminal; only `y` and `yes` are a yes. The question goes to stderr.
 * @throws {SetupError} E_INTERRUPTED on Ctrl-C. The signal's reason when it is aborted.
 */
export async function askYes(question: string, { signal }: { readonly signal: AbortSignal }): Promise<boolean> {
  signal.throwIfAborted();
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const close = (): void => terminal.close();
  signal.addEventListener("abort", close, { once: true });
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      terminal.once("SIGINT", () => reject(new SetupError("E_INTERRUPTED", "Interrupted.")));
      terminal.once("close", () => resolve(""));
      terminal.question(`${question} [y/N] `, resolve);
    });
    signal.throwIfAborted();
    return /^y(?:es)?$/i.test(answer.trim());
  } finally {
    signal.removeEventListener("abort", close);
    terminal.close();
  }
}
