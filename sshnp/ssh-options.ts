import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";

/** One option of ssh's, as its own parser would understand it. */
export interface SshOption {
  readonly letter: string;
  /** Undefined for an option without argument. */
  readonly value: string | undefined;
}

export interface SshOptionScan {
  readonly options: readonly SshOption[];
  /** How many words the options take, a closing `--` included. */
  readonly words: number;
}

/** What a letter may be followed by, to whoever reads a word of options letter by letter. */
export type SshLetter = "flag" | "argument" | "unknown";

/** The options of OpenSSH 7.4 to 10.2 (ssh.c, getopt); `-P` takes an argument since 9.4 and did nothing before. */
export function sshLetter(letter: string): SshLetter {
  if (WITH_ARGUMENT.includes(letter)) return "argument";
  return FLAGS.includes(letter) ? "flag" : "unknown";
}

/**
 * The options at the front of `words`, as ssh's getopt finds them: up to the first word that is no option, or up to and
 * with `--`. A letter that ssh does not have counts as a flag: ssh itself will say what it thinks of it.
 * @throws {SetupError} E_USAGE for `--word`, which ssh has none of, and for an option whose argument is missing.
 */
export function scanSshOptions(words: readonly string[]): SshOptionScan {
  const options: SshOption[] = [];
  let index = 0;
  for (; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word === "--") return { options, words: index + 1 };
    if (!word.startsWith("-") || word === "-") break;
    if (word.startsWith("--")) {
      throw new SetupError("E_USAGE", `ssh has no option ${quoted(word)}.`, {
        next: "After the device there are ssh's options only; those of sshnp stand before the names.",
      });
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word[at] ?? "";
      if (sshLetter(letter) !== "argument") {
        options.push({ letter, value: undefined });
        continue;
      }
      const rest = word.slice(at + 1);
      options.push({ letter, value: rest === "" ? argumentOf(letter, words[++index]) : rest });
      break;
    }
  }
  return { options, words: index };
}

/** The argument that follows an option. @throws {SetupError} E_USAGE when there is none. */
export function argumentOf(option: string, word: string | undefined): string {
  if (word === undefined) {
    throw new SetupError("E_USAGE", `-${option} lacks its argument.`, { next: "man ssh says what it takes." });
  }
  return word;
}

/** Key (lower case) and value of an `-o` argument, in whichever way it is written; undefined when it has no value. */
export function configurationOf(text: string): { readonly key: string; readonly value: string } | undefined {
  const [, key, value] = /^\s*"?([A-Za-z0-9]+)"?(?:\s*=\s*|\s+)(.*)$/s.exec(text) ?? [];
  if (key === undefined || value === undefined) return undefined;
  return { key: key.toLowerCase(), value: value.trimEnd().replace(/^"(.*)"$/s, "$1") };
}

const WITH_ARGUMENT = "BbcDEeFIiJLlmOoPpQRSWw";
const FLAGS = "1246AaCfGgKkMNnqsTtVvXxYy";
