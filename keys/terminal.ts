import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { SetupError } from "./errors.ts";

/** Whether a person can be asked. */
export function isTerminal(): boolean {
  return process.stdin.isTTY;
}

/**
 * Asks on the terminal, without echo; the question goes to stderr. Empty when the person ends the input instead (Ctrl-D).
 * @throws {SetupError} E_INTERRUPTED on Ctrl-C. The signal's reason when it is aborted.
 */
export async function askHidden(
  question: string,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<string> {
  signal?.throwIfAborted();
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  const close = (): void => terminal.close();
  signal?.addEventListener("abort", close, { once: true });
  process.stderr.write(question);
  try {
    return await new Promise((resolve, reject) => {
      terminal.once("line", resolve);
      terminal.once("SIGINT", () => reject(new SetupError("E_INTERRUPTED", "Interrupted.")));
      terminal.once("close", () => {
        if (signal?.aborted === true) reject(asError(signal.reason));
        else resolve("");
      });
    });
  } finally {
    signal?.removeEventListener("abort", close);
    terminal.close();
    process.stderr.write("\n");
  }
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error("aborted");
}
