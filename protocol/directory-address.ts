import { SetupError } from "../keys/errors.ts";
import { inVariable } from "../keys/in-variable.ts";
import { quoted } from "../keys/names.ts";
import { type Fingerprint, parseFingerprint } from "../keys/openssh.ts";

/** Where a directory is and which Ed25519 root key it must prove: `http(s)://host:port#SHA256:...`. */
export interface DirectoryAddress {
  readonly url: URL;
  /** Fingerprint of the root key, as ssh prints it. */
  readonly fingerprint: Fingerprint;
  /** The whole address as given. */
  readonly text: string;
}

/**
 * @throws {SetupError} E_USAGE when it is not such an address. One without a fingerprint is refused:
 * the fingerprint is the only thing about a directory that is believed.
 */
export function parseDirectoryAddress(text: string): DirectoryAddress {
  const hash = text.indexOf("#");
  const url = parseUrl(hash < 0 ? text : text.slice(0, hash));
  if (
    url === undefined ||
    !/^https?:\/\/[!-~]+$/.test(text) || // URL itself would pass over white space and change the case
    url.username !== "" ||
    url.password !== "" ||
    url.search !== "" ||
    text.length > 512
  ) {
    throw new SetupError("E_USAGE", `${quoted(text)} is not a directory address.`, { next: WHERE_TO_FIND_IT });
  }
  if (hash < 0) {
    throw new SetupError("E_USAGE", `${quoted(text)} has no fingerprint, so nothing could tell a false directory.`, {
      next: WHERE_TO_FIND_IT,
    });
  }
  return { url, fingerprint: parseFingerprint(text.slice(hash + 1)), text };
}

/** The address in SSHNP_DIRECTORY; undefined when it is not set, or empty. @throws {SetupError} E_USAGE, with the variable's name. */
export function directoryInEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): DirectoryAddress | undefined {
  const value = env["SSHNP_DIRECTORY"] || undefined;
  return value === undefined ? undefined : inVariable("SSHNP_DIRECTORY", value, parseDirectoryAddress);
}

const WHERE_TO_FIND_IT =
  "It reads http://HOST:PORT#SHA256:...; on the directory's machine `sshnp-directory address --data DIR` prints it.";

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}
