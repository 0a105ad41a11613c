import { SshnpError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { SETTINGS, type Settings } from "./config/setting.ts";
import { SSHNP_FLAGS } from "./noports-flags.ts";
import { flagOf, type Meaning } from "./noports-words.ts";

/** A profile of NoPorts, as far as it says what a profile of ours can say. */
export interface ImportedProfile {
  readonly settings: Settings;
  /** What became of every line that is no setting, and what to do instead; printable. */
  readonly notes: readonly string[];
}

/** Their variable -> our setting. */
const TRANSLATED: Readonly<Record<string, string>> = { FROM: "client", TO: "device", REMOTE_USER_NAME: "user" };

/** What a line of the command line says, every time. */
const GIVEN_WITH_EACH_COMMAND: Readonly<Record<string, (value: string) => string>> = {
  DEVICE: (device) => `name it in each command: sshnp --profile NAME ${device}`,
  SEND_SSH_PUBLIC_KEY: () => "say it in each command: sshnp -s @device mygateway",
  IDENTITY_FILE: () => "IdentityFile in ~/.ssh/config says it, for Host *.np",
  LOCAL_SSH_OPTIONS: () => "~/.ssh/config says it, for Host *.np",
};

/**
 * A profile of NoPorts, `~/.sshnp/config/NAME.env`: `KEY=VALUE` lines, whose keys are the options of its sshnp in capitals.
 * Nothing is refused: whatever has no place in a profile of ours is named in a note.
 */
export function parseNoPortsProfile(text: string): ImportedProfile {
  const settings = new Map<string, string>();
  const notes: string[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    const [, key, raw] = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/s.exec(line) ?? [];
    if (key === undefined || raw === undefined) {
      notes.push(`line ${index + 1}: no KEY=VALUE`);
      continue;
    }
    const value = raw.replace(/^(["'])(.*)\1$/s, "$2");
    if (value === "" || value === "false") continue;
    const note = take(key, value, settings);
    if (note !== undefined) notes.push(`${key}: ${note}`);
  }
  return { settings, notes };
}

function take(key: string, value: string, settings: Map<string, string>): string | undefined {
  const setting = TRANSLATED[key];
  if (setting !== undefined) {
    try {
      settings.set(setting, SETTINGS.get(setting)?.parse(value) ?? value);
      return undefined;
    } catch (error) {
      if (!(error instanceof SshnpError)) throw error;
      return error.message;
    }
  }
  const given = GIVEN_WITH_EACH_COMMAND[key]?.(/^[\w-]{1,36}$/.test(value) ? value.toLowerCase() : quoted(value));
  if (given !== undefined) return given;
  const flag = flagOf(`--${key.toLowerCase().replaceAll("_", "-")}`, SSHNP_FLAGS);
  if (flag === undefined) return "not known";
  return told(typeof flag.meaning === "function" ? flag.meaning(value) : flag.meaning);
}

function told(meaning: Meaning): string | undefined {
  if (meaning === "works") return undefined;
  return "unneeded" in meaning ? meaning.unneeded : `${meaning.fact} ${meaning.instead}`;
}
