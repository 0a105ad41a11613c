import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { AnyAuthMethod } from "ssh2";
import { SetupError } from "../../keys/errors.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { askHidden, isTerminal } from "../../keys/terminal.ts";
import type { NativeOptions } from "./options.ts";
import { utils } from "./ssh2.ts";

/**
 * What to log in with, one after the other: the agent's keys, unless files were named, and then those of the files. A file
 * that a passphrase guards is asked for when its turn comes, three times at most.
 * @throws {SetupError} E_USAGE when a file that was named holds no private key that can be used here.
 */
export async function* identities(
  { login: username, identityFiles, batch }: NativeOptions,
  { signal }: { readonly signal: AbortSignal },
): AsyncGenerator<AnyAuthMethod> {
  const agent = process.env["SSH_AUTH_SOCK"] ?? "";
  if (agent !== "" && identityFiles.length === 0) yield { type: "agent", username, agent };
  const named = identityFiles.map((path) => (path.startsWith("~/") ? join(HOME, path.slice(2)) : path));
  for (const path of named.length > 0 ? named : DEFAULT_FILES.map((name) => join(HOME, ".ssh", name))) {
    const key = await readFile(path).catch(() => undefined);
    if (key === undefined) {
      if (named.length > 0) throw unusable(path, "cannot be read");
      continue;
    }
    const passphrase = await passphraseOf(path, key, batch || !isTerminal(), signal);
    if (passphrase === undefined) continue;
    const isUsable = !(utils.parseKey(key, passphrase) instanceof Error);
    if (isUsable) yield { type: "publickey", username, key, passphrase };
    else if (named.length > 0) throw unusable(path, "holds no private key of a kind that the built-in client knows");
  }
}

/** Where ssh looks, which goes by passwd and not by $HOME. */
const HOME = userInfo().homedir;
const DEFAULT_FILES = ["id_ed25519", "id_ecdsa", "id_rsa"];
const TRIES = 3;

/** Empty when none is needed; undefined when it is not to be had. */
async function passphraseOf(
  path: string,
  key: Buffer,
  isSilent: boolean,
  signal: AbortSignal,
): Promise<string | undefined> {
  const isGuarded = (passphrase: string): boolean => {
    const parsed = utils.parseKey(key, passphrase);
    return parsed instanceof Error && /passphrase|integrity|decrypt/i.test(parsed.message);
  };
  if (!isGuarded("")) return "";
  for (let tries = isSilent ? TRIES : 0; tries < TRIES; tries++) {
    const passphrase = await askHidden(`Passphrase of ${shellWord(path)}: `, { signal });
    if (passphrase === "") return undefined;
    if (!isGuarded(passphrase)) return passphrase;
  }
  return undefined;
}

function unusable(path: string, fact: string): SetupError {
  return new SetupError("E_USAGE", `${shellWord(path)} ${fact}.`, {
    next: "Name a private key of type ed25519, ecdsa or rsa: -i FILE",
  });
}
