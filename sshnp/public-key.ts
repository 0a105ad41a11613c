import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { SetupError } from "../keys/errors.ts";
import { type PublicKeyLine, parsePublicKeyLine } from "../keys/openssh.ts";
import { shellWord } from "../keys/shell-word.ts";
import { parseLogin } from "./target.ts";

/** The user's public key, and where it is from, for people. */
export interface UserKey {
  readonly key: PublicKeyLine;
  readonly source: string;
}

/**
 * The public key that the user's ssh will offer first: of the identity file given, else the first in ssh-agent, else of
 * the default files.
 * @throws {SetupError} E_USAGE when there is none, or when the file given has no public half that can be read.
 */
export async function findUserKey(
  identityFile: string | undefined,
  { signal }: { readonly signal: AbortSignal },
): Promise<UserKey> {
  if (identityFile !== undefined) {
    const path = identityFile.startsWith("~/") ? join(HOME, identityFile.slice(2)) : identityFile;
    const source = path.endsWith(".pub") ? path : `${path}.pub`;
    const key = await readKey(source);
    if (key !== undefined) return { key, source };
    throw new SetupError("E_USAGE", `${shellWord(source)} holds no public key.`, {
      next: `Make it from the private key: ssh-keygen -y -f ${shellWord(path)} > ${shellWord(source)}`,
    });
  }
  const fromAgent = await firstOfAgent(signal);
  if (fromAgent !== undefined) return { key: fromAgent, source: "ssh-agent" };
  for (const name of DEFAULT_FILES) {
    const source = join(HOME, ".ssh", `${name}.pub`);
    const key = await readKey(source);
    if (key !== undefined) return { key, source };
  }
  throw new SetupError("E_USAGE", "-s has no key to send: ssh-agent has none, and there is none in ~/.ssh.", {
    next: "Make one: ssh-keygen -t ed25519   or name one after the device: -i FILE",
  });
}

/**
 * The account that ssh will log in to, from its own configuration. `words`: ssh's options that bear on it, then the host,
 * which is a name of ours and no option.
 * @throws {SetupError} E_NO_SSH when there is no ssh, E_USAGE when ssh does not understand its options.
 */
export async function loginOf(words: readonly string[]): Promise<string> {
  const { stdout } = await execute("ssh", ["-G", ...words], { timeout: CONFIGURATION_MS }).catch((cause: unknown) => {
    throw new SetupError("E_USAGE", "ssh -G cannot tell which user to log in as.", {
      next: "Say it: sshnp -s @device USER@mygateway",
      cause,
    });
  });
  return parseConfiguredLogin(stdout);
}

/** The account in what `ssh -G` prints. @throws {SetupError} E_USAGE when there is none that could be one. */
export function parseConfiguredLogin(output: string): string {
  return parseLogin(/^user (.*)$/m.exec(output)?.[1] ?? "");
}

/** Where ssh looks, which goes by passwd and not by $HOME. */
const HOME = userInfo().homedir;
const DEFAULT_FILES = ["id_ed25519", "id_ecdsa", "id_rsa"];
const execute = promisify(execFile);

async function readKey(path: string): Promise<PublicKeyLine | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : parseFirstPublicKey(text);
}

async function firstOfAgent(signal: AbortSignal): Promise<PublicKeyLine | undefined> {
  if ((process.env["SSH_AUTH_SOCK"] ?? "") === "") return undefined;
  // It ends with a status other than 0 when the agent has no keys, or does not answer.
  const { stdout } = await execute("ssh-add", ["-L"], { signal, timeout: AGENT_MS }).catch(() => ({ stdout: "" }));
  signal.throwIfAborted();
  return parseFirstPublicKey(stdout);
}

/** The first line that is a plain public key; certificates and keys of other kinds are passed over. */
export function parseFirstPublicKey(text: string): PublicKeyLine | undefined {
  for (const line of text.split("\n")) {
    try {
      return parsePublicKeyLine(line);
    } catch {
      // The next one, then.
    }
  }
  return undefined;
}

/** A `Match exec` in the configuration runs whatever its author wanted. */
const CONFIGURATION_MS = 15_000;
/** A token that waits for a touch is not asked by listing keys. */
const AGENT_MS = 5_000;
