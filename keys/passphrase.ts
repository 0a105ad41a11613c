import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Writable } from "node:stream";
import { SetupError } from "./errors.ts";
import { Secret } from "./secret.ts";
import { shellWord } from "./shell-word.ts";

/**
 * The passphrase of a key file: the first line of the file that SSHNP_PASSPHRASE_FILE names, else asked for on the
 * terminal, without echo.
 * @throws {SetupError} E_PASSPHRASE when there is neither, E_STORAGE when the file cannot be read.
 */
export async function askPassphrase(path: string): Promise<Secret> {
  const file = process.env["SSHNP_PASSPHRASE_FILE"];
  if (file !== undefined && file !== "") return await passphraseFromFile(file);
  return await promptForPassphrase(`Passphrase of ${path}: `);
}

/** The first line of `file`. @throws {SetupError} E_STORAGE when it cannot be read, E_PASSPHRASE when it is empty. */
export async function passphraseFromFile(file: string): Promise<Secret> {
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    throw new SetupError("E_STORAGE", `Cannot read ${shellWord(file)}.`, {
      next: "It should hold the passphrase in its first line, readable by you alone.",
      cause,
    });
  });
  const [line = ""] = text.split(/\r?\n/, 1);
  if (line === "") throw new SetupError("E_PASSPHRASE", `The first line of ${shellWord(file)} is empty.`);
  return Secret.fromText(line);
}

/** Asks on the terminal, without echo. @throws {SetupError} E_PASSPHRASE without a terminal, E_INTERRUPTED on Ctrl-C. */
export async function promptForPassphrase(question: string): Promise<Secret> {
  if (!process.stdin.isTTY) {
    throw new SetupError("E_PASSPHRASE", "A passphrase is needed, and there is no terminal to ask for it.", {
      next: "Name a file that holds it: SSHNP_PASSPHRASE_FILE=FILE",
    });
  }
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true });
  process.stderr.write(question);
  try {
    return await new Promise((resolve, reject) => {
      terminal.once("line", (line) => resolve(Secret.fromText(line)));
      terminal.once("SIGINT", () => reject(new SetupError("E_INTERRUPTED", "Interrupted.")));
      terminal.once("close", () => reject(new SetupError("E_PASSPHRASE", "No passphrase was given.")));
    });
  } finally {
    terminal.close();
    process.stderr.write("\n");
  }
}
