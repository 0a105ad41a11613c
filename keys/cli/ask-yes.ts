import { createInterface } from "node:readline";
import { SetupError } from "../errors.ts";
import { isTerminal } from "../terminal.ts";
import type { OwnerWork } from "./owner-work.ts";

/**
 * Asks a person on the terminal; only `y` and `yes` are a yes. The question goes to stderr.
 * @throws {SetupError} E_INTERRUPTED on Ctrl-C. The signal's reason when it is aborted.
 */
async function askYes(question: string, { signal }: { readonly signal: AbortSignal }): Promise<boolean> {
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

/**
 * Demands that a person agrees to sign what he was shown. `next`: what to do where nobody can be asked.
 * @throws {SetupError} E_USAGE when there is no terminal; E_INTERRUPTED when he does not agree.
 */
export async function demandYes(
  { name, signal }: Pick<OwnerWork, "name" | "signal">,
  what: string,
  next: string,
): Promise<void> {
  if (!isTerminal()) {
    throw new SetupError("E_USAGE", `There is no terminal to ask on whether to sign ${what}.`, { next });
  }
  if (await askYes(`Sign ${what} for ${name}?`, { signal })) return;
  throw new SetupError("E_INTERRUPTED", `Nothing was signed; ${name} stands as before.`);
}
