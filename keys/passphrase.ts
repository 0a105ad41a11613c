import { SetupError } from "./errors.ts";
import { firstLineOfFile } from "./first-line.ts";
import { Secret } from "./secret.ts";
import { shellWord } from "./shell-word.ts";
import { askHidden, isTerminal } from "./terminal.ts";

interface Waiting {
  readonly signal?: AbortSignal | undefined;
}

/**
 * The passphrase of a key file: the first line of the file that SSHNP_PASSPHRASE_FILE names, else asked for on the
 * terminal, without echo.
 * @throws {SetupError} E_PASSPHRASE when there is neither, E_STORAGE when the file cannot be read, E_INTERRUPTED.
 */
export async function askPassphrase(path: string, waiting: Waiting = {}): Promise<Secret> {
  const file = passphraseFile();
  return file === undefined
    ? await promptForPassphrase(`Passphrase of ${shellWord(path)}: `, waiting)
    : await passphraseFromFile(file, waiting);
}

/** No measure of strength: it keeps out what anybody tries through, however slow scrypt makes a try. */
const LEAST_CHARACTERS = 8;

/**
 * A passphrase to guard a file with: as {@link askPassphrase}, but typed twice, and of 8 characters at least.
 * @throws {SetupError} as that does; E_PASSPHRASE when it is shorter.
 */
export async function askNewPassphrase(question: string, waiting: Waiting = {}): Promise<Secret> {
  const file = passphraseFile();
  if (file !== undefined) return await newPassphraseFromFile(file, waiting);
  const first = longEnough(await promptForPassphrase(question, waiting));
  const second = await promptForPassphrase("The same once more: ", waiting);
  if (first.secretText() === second.secretText()) return first;
  throw new SetupError("E_PASSPHRASE", "The two differ.", { next: "Nothing was written; run this again." });
}

/** As {@link passphraseFromFile}, to guard a file with. @throws {SetupError} as that; E_PASSPHRASE below 8 characters. */
export async function newPassphraseFromFile(file: string, waiting: Waiting = {}): Promise<Secret> {
  return longEnough(await passphraseFromFile(file, waiting));
}

function longEnough(passphrase: Secret): Secret {
  if (Array.from(passphrase.secretText()).length >= LEAST_CHARACTERS) return passphrase;
  throw new SetupError("E_PASSPHRASE", `A new passphrase has ${LEAST_CHARACTERS} characters at least.`, {
    next: "Nothing was written. Four or five random words are easy to keep and hard to guess.",
  });
}

/** The first line of `file`. @throws {SetupError} E_STORAGE when it cannot be read, E_PASSPHRASE when it is empty. */
export async function passphraseFromFile(file: string, waiting: Waiting = {}): Promise<Secret> {
  const line = await firstLineOfFile(file, waiting);
  if (line !== "") return Secret.fromText(line);
  throw new SetupError("E_PASSPHRASE", `The first line of ${shellWord(file)} is empty.`, {
    next: "Write the passphrase there, and nothing else.",
  });
}

async function promptForPassphrase(question: string, waiting: Waiting): Promise<Secret> {
  if (!isTerminal()) {
    throw new SetupError("E_PASSPHRASE", "A passphrase is needed, and there is no terminal to ask for it.", {
      next: "Name a file that holds it: SSHNP_PASSPHRASE_FILE=FILE",
    });
  }
  const line = await askHidden(question, waiting);
  if (line !== "") return Secret.fromText(line);
  throw new SetupError("E_PASSPHRASE", "No passphrase was given.", { next: "Run this again, and type one." });
}

function passphraseFile(): string | undefined {
  return process.env["SSHNP_PASSPHRASE_FILE"] || undefined;
}
