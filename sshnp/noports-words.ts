import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";

/** What an option of NoPorts is to us. */
export type Meaning =
  /** Does here what it did there. */
  | "works"
  /** What it asked for holds here anyway, or has no counterpart that anybody could miss; people are told which. */
  | { readonly unneeded: string }
  /** It is refused: a fact, and what replaces it. */
  | { readonly fact: string; readonly instead: string };

export interface NoPortsFlag {
  /** All its names; its long one, which stands first, is what {@link NoPortsWords} calls it. */
  readonly names: readonly string[];
  readonly takesValue: boolean;
  readonly meaning: Meaning | ((value: string) => Meaning);
}

/** A command line of NoPorts, understood. */
export interface NoPortsWords {
  /** The values of an option, in their order; those without one have "". */
  values(name: string): readonly string[];
  /** The last of them. */
  value(name: string): string | undefined;
  /** Options of our own among them, as they stood. */
  readonly own: readonly string[];
  readonly notes: readonly string[];
}

/** Our own options, by which a line that somebody has kept is made to work. */
const OWN =
  /^--(?:(?:directory|keys|witness|witnesses|max-checkpoint-age)(=|$)|wait(?:=|$)|no-wait$|(?:no-)?session-key$)/;

/**
 * Reads a command line as NoPorts' own parser would: long options with `=` or a space, letters on their own or together,
 * `--no-` ahead of what can be switched off. @throws {SetupError} E_USAGE; values that may be secret are not in it.
 */
export function readNoPortsWords(words: readonly string[], flags: readonly NoPortsFlag[]): NoPortsWords {
  const found = new Map<string, string[]>();
  const notes: string[] = [];
  const own: string[] = [];
  const take = (flag: NoPortsFlag, name: string, value: string): void => {
    const meaning = typeof flag.meaning === "function" ? flag.meaning(value) : flag.meaning;
    if (typeof meaning === "object" && "fact" in meaning) throw usage(meaning.fact, meaning.instead);
    if (typeof meaning === "object") notes.push(`${name} ${meaning.unneeded}`);
    const [long = ""] = flag.names;
    const values = found.get(long);
    if (values === undefined) found.set(long, [value]);
    else values.push(value);
  };
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    const argument = (name: string): string => {
      const value = words[++index];
      if (value === undefined) throw usage(`${name} lacks its argument.`, USAGE);
      return value;
    };
    if (OWN.test(word)) {
      const [, joined] = OWN.exec(word) ?? [];
      own.push(word, ...(joined === "" ? [argument(word)] : []));
    } else if (word.startsWith("--")) {
      const [name = "", ...rest] = word.split("=");
      const flag = flagOf(name, flags);
      if (flag === undefined) throw usage(`${quoted(name)} is an option of neither NoPorts nor sshnp.`, USAGE);
      take(flag, name, rest.length > 0 ? rest.join("=") : flag.takesValue ? argument(name) : "");
    } else if (word.startsWith("-") && word !== "-") {
      for (let at = 1; at < word.length; at++) {
        const name = `-${word[at] ?? ""}`;
        const flag = flagOf(name, flags);
        if (flag === undefined) throw usage(`${quoted(name)} is an option of neither NoPorts nor sshnp.`, USAGE);
        if (!flag.takesValue) {
          take(flag, name, "");
          continue;
        }
        const joined = word.slice(at + 1);
        take(flag, name, joined === "" ? argument(name) : joined);
        break;
      }
    } else throw usage(`${quoted(word)} stands among options of NoPorts, which name everything with a letter.`, USAGE);
  }
  const values = (name: string): readonly string[] => found.get(name) ?? [];
  return { values, value: (name) => values(name).at(-1), own, notes };
}

/** The option with this name, as `-f`, `--from`, or `--no-...` where the table has that. */
export function flagOf(name: string, flags: readonly NoPortsFlag[]): NoPortsFlag | undefined {
  return flags.find(({ names }) => names.includes(name));
}

const USAGE = "Usage: sshnp [options] [@client] @device [user@]mygateway; see sshnp --help";

function usage(fact: string, next: string): SetupError {
  return new SetupError("E_USAGE", fact, { next });
}
