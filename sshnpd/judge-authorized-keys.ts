import { stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { type Finding, fine, toFix } from "./finding.ts";
import type { SshdConfiguration } from "./sshd-configuration.ts";

/** Whether sshd would read the authorized_keys of this user, who is the one to run sshnpd. */
export async function judgeAuthorizedKeys(
  { username, homedir, uid }: { readonly username: string; readonly homedir: string; readonly uid: number },
  configuration: SshdConfiguration | undefined,
  { hasPasswords, hasOtherKeys, isOnlyLogin }: OtherWays,
): Promise<Finding> {
  const patterns = configuration?.get("authorizedkeysfile")?.join(" ").split(" ") ?? [".ssh/authorized_keys"];
  const about = "authorized_keys";
  for (const pattern of patterns) {
    const named = pattern.replace(/%[hu%]/g, (code) => ({ "%h": homedir, "%u": username })[code] ?? "%");
    const path = isAbsolute(named) ? named : join(homedir, named);
    const found = await stat(path).catch(() => undefined);
    if (found === undefined) continue;
    const isStrict = configuration?.get("strictmodes")?.[0] !== "no";
    const loose = isStrict ? await looseOf([path, dirname(path), homedir], uid) : undefined;
    if (loose === undefined) return fine(about, `${path} of ${username}`);
    return toFix(about, `sshd does not read ${path}: ${loose} may be written by others`, `chmod go-w ${loose}`);
  }
  const tried = patterns.join(" and ");
  const none = `none of ${username} (${tried})`;
  if (!hasPasswords && !hasOtherKeys && isOnlyLogin) {
    const next = `Add clients' public keys to ~/.ssh/authorized_keys; or let them bring theirs (sshnpd -s), or session keys: sshnpd --session-keys ${username}`;
    return toFix(about, `${none}, so nobody can log in: there are no passwords here`, next);
  }
  const ways = [
    ...(hasOtherKeys ? ["a key of the session or one that they push"] : ["another key"]),
    ...(hasPasswords ? ["a password"] : []),
  ];
  return fine(about, `${none}; clients need ${ways.join(", or ")}`);
}

/** How clients may log in without. */
export interface OtherWays {
  readonly hasPasswords: boolean;
  /** Keys of sessions, or such as clients push. */
  readonly hasOtherKeys: boolean;
  /** Whether this user is the only one who can log in. */
  readonly isOnlyLogin: boolean;
}

/** The first that somebody else may write (StrictModes of sshd_config(5)). */
async function looseOf(paths: readonly string[], uid: number): Promise<string | undefined> {
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && ((found.mode & 0o022) !== 0 || (found.uid !== 0 && found.uid !== uid))) return path;
  }
  return undefined;
}
