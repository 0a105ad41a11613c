import { SetupError } from "../keys/errors.ts";
import { quoted } from "../keys/names.ts";
import { nearest } from "../protocol/policy/nearest.ts";

/** That `word` is no option of sshnp, with the one that was probably meant. `name`: the word without dashes and value. */
export function noSuchOption(word: string, name: string, next: string): SetupError {
  const meant = nearest(name, OPTIONS);
  const fact = `${quoted(word)} is no option of sshnp.`;
  return new SetupError("E_USAGE", meant === undefined ? fact : `${fact} Did you mean --${meant}?`, { next });
}

/** Those ahead of the names of a session. */
const OPTIONS = [
  ...[
    "wait",
    "no-wait",
    "native",
    "directory",
    "keys",
    "session-key",
    "no-session-key",
    "witness",
    "witnesses",
    "max-checkpoint-age",
  ],
  ...["profile", "help", "version"],
];
