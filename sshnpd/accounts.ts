import { execFile } from "node:child_process";
import { userInfo } from "node:os";
import { promisify } from "node:util";

/** A user of this machine, as sshd knows it: from passwd, not from $HOME. */
export interface Account {
  readonly login: string;
  readonly uid: number;
  readonly gid: number;
  readonly home: string;
}

/**
 * The account that a session for `login` may put a key into: as root the one of that login; else the daemon's own, and
 * only if that is who the client means to log in as. Undefined when there is none.
 *
 * `login` by the grammar of isLogin, empty when the client did not say.
 */
export async function accountFor(login: string): Promise<Account | undefined> {
  if (process.geteuid?.() === 0) return login === "" ? undefined : await lookUp(login);
  const { username, uid, gid, homedir } = userInfo();
  return login === "" || login === username ? { login: username, uid, gid, home: homedir } : undefined;
}

/** The account in one line of passwd(5), if it is the one of `login` and has a home. */
export function parsePasswdLine(line: string, login: string): Account | undefined {
  const [name, , uid = "", gid = "", , home = ""] = line.split(":");
  if (name !== login || !/^[0-9]{1,10}$/.test(uid) || !/^[0-9]{1,10}$/.test(gid) || !home.startsWith("/"))
    return undefined;
  return { login, uid: Number(uid), gid: Number(gid), home };
}

/** By getent(1), which asks whatever this machine asks for its users. It ends with an error when there is none. */
async function lookUp(login: string): Promise<Account | undefined> {
  const output = await promisify(execFile)("getent", ["passwd", login], { timeout: LOOK_UP_MS }).catch(() => undefined);
  return output === undefined ? undefined : parsePasswdLine(output.stdout.split("\n")[0] ?? "", login);
}

/** An LDAP server that does not answer must not hold a session up for long. */
const LOOK_UP_MS = 5_000;
