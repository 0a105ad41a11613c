import { stat } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { type Finding, fine, toFix } from "./finding.ts";
import type { SshdConfiguration } from "./sshd-configuration.ts";

/** Whether sshd would read the authorized_keys of this user, who is the one to run sshnpd. */
export async function judgeAuthorizedKeys(
  { username, homedir, uid }: { readonly username: string; readonly homedir: string; readonly uid: number },
  configuration: SshdConfiguration | undefined,
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
  return fine(about, `none of ${username} (${tried}); clients need another key, or a password`);
}

/** The first that somebody else may write (StrictModes of sshd_config(5)). */
async function looseOf(paths: readonly string[], uid: number): Promise<string | undefined> {
  for (const path of paths) {
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && ((found.mode & 0o022) !== 0 || (found.uid !== 0 && found.uid !== uid))) return path;
  }
  return undefined;
}
