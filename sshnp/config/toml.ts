import { parse, TomlError } from "smol-toml";
import { SetupError, SshnpError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { SETTINGS, type Settings } from "./setting.ts";

/**
 * The settings in the text of a configuration file or a profile, `key = "value"` a line (TOML 1.0). `path` is for errors.
 * @throws {SetupError} E_USAGE, with file and line, on whatever is no TOML, no setting, or no value for its setting.
 */
export function parseSettings(text: string, path: string): Settings {
  const settings = new Map<string, string>();
  for (const [key, value] of Object.entries(parseToml(text, path))) {
    const refused = (fact: string, next: string): SetupError =>
      new SetupError("E_USAGE", `${shellWord(path)}, line ${lineOf(key, text)}: ${fact}`, { next });
    const setting = SETTINGS.get(key);
    if (setting === undefined) {
      throw refused(`${quoted(key)} is no setting.`, `Settings are ${[...SETTINGS.keys()].join(", ")}.`);
    }
    if (typeof value !== "string") {
      throw refused(`${key} is not a text.`, `Write it in quotes: ${key} = "${setting.example}"`);
    }
    try {
      settings.set(key, setting.parse(value));
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      throw refused(error.message, error.next ?? "");
    }
  }
  return settings;
}

function parseToml(text: string, path: string): Readonly<Record<string, unknown>> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    // Its first line says what; then come lines of the file.
    const [what = ""] = error.message.replace(/^Invalid TOML document: /, "").split("\n");
    throw new SetupError("E_USAGE", `${shellWord(path)}, line ${error.line}: ${what}.`, {
      next: 'Each line reads KEY = "value" (TOML 1.0), and # begins a comment.',
    });
  }
}

/** The parser tells no positions of what it has accepted; so it is asked up to which line the key is not there. */
function lineOf(key: string, text: string): number {
  const lines = text.split("\n");
  let start = 1;
  for (let count = 1; count <= lines.length; count++) {
    const before = parsed(lines.slice(0, count).join("\n"));
    if (before === undefined) continue; // in the middle of a value
    if (Object.hasOwn(before, key)) return start;
    start = count + 1;
  }
  return start;
}

function parsed(text: string): object | undefined {
  try {
    return parse(text);
  } catch {
    return undefined;
  }
}
