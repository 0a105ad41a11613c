import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";
import { SetupError } from "../../keys/errors.ts";
import { parseName, quoted } from "../../keys/names.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { parseKeysFolder, parseWait } from "../command-line.ts";
import { parseYesOrNo } from "../settings.ts";
import { parseLogin } from "../target.ts";

/** What a configuration file or a profile may set. None of them is a secret, and none is a command that is run. */
export interface Setting {
  /** The variable of the environment that sets the same and counts for more. */
  readonly variable: string;
  readonly example: string;
  /** What the variable would hold. @throws {SshnpError} E_USAGE. */
  parse(text: string): string;
}

/** By their names in files. */
export const SETTINGS: ReadonlyMap<string, Setting> = new Map<string, Setting>([
  ["client", { variable: "SSHNP_CLIENT", example: "@client", parse: parseName }],
  ["device", { variable: "SSHNP_DEVICE", example: "@device", parse: parseName }],
  ["user", { variable: "SSHNP_USER", example: "pi", parse: parseLogin }],
  [
    "directory",
    {
      variable: "SSHNP_DIRECTORY",
      example: "https://np.example.org#SHA256:...",
      parse: (text) => parseDirectoryAddress(text).text,
    },
  ],
  ["keys", { variable: "SSHNP_KEYS", example: "~/.local/share/sshnp/keys", parse: parseFolder }],
  ["wait", { variable: "SSHNP_WAIT", example: "10m", parse: (text) => (parseWait(text, "wait = "), text) }],
  ["session-key", { variable: "SSHNP_SESSION_KEY", example: "yes", parse: parseYesOrNo }],
  ["witnesses", { variable: "SSHNP_WITNESSES", example: "1:NAME+hash+base64", parse: parseWitnesses }],
]);

/** Settings by name, each parsed: what their variables would hold. */
export type Settings = ReadonlyMap<string, string>;

/** A file is read from any working directory, so a folder in it is named in full. */
function parseFolder(text: string): string {
  const path = text.startsWith("~/") ? join(homedir(), text.slice(2)) : text;
  if (isAbsolute(path)) return parseKeysFolder(path, "keys = ");
  throw new SetupError("E_USAGE", `keys is ${quoted(text)}, which depends on where sshnp is started.`, {
    next: 'Begin it with / or ~/, as in keys = "~/.local/share/sshnp/keys".',
  });
}

/** Its form; whoever demands the witnesses looks at the keys themselves. */
function parseWitnesses(text: string): string {
  if (/^[1-9][0-9]?(?:[:,][^\s,+]+\+[0-9a-f]{8}\+[A-Za-z0-9+/]+={0,2})+$/.test(text)) return text;
  throw new SetupError("E_USAGE", `${quoted(text)} names no witnesses.`, {
    next: "It reads K:KEY,KEY: how many, and of which; a key reads NAME+hash+base64.",
  });
}
