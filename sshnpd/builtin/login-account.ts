import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename } from "node:path";
import { promisify } from "node:util";
import { isLogin } from "../../protocol/service.ts";
import { type Account, parsePasswdLine } from "../accounts.ts";
import { ACCOUNT_LOOK_UP_MS } from "../../protocol/limits.ts";

/** An account that somebody may log in to. */
export interface LoginAccount extends Account {
  /** Absolute path of its shell. */
  readonly shell: string;
}

/** Why nobody may, for the log of the device. */
export interface AccountRefusal {
  readonly refusal: string;
}

/**
 * The account of a login, if sshd would let somebody in: as root any that has a shell and is neither locked nor expired,
 * otherwise only that of the user who runs this.
 */
export async function loginAccount(login: string, now: number): Promise<LoginAccount | AccountRefusal> {
  if (login === "" || !isLogin(login)) return { refusal: "that is no login" };
  const account = process.geteuid?.() === 0 ? await anyAccount(login, now) : ownAccount(login);
  if ("refusal" in account) return account;
  if (NO_SHELL.has(basename(account.shell))) return { refusal: `its shell is ${account.shell}` };
  const shell = await stat(account.shell).catch(() => undefined);
  if (shell?.isFile() !== true || (shell.mode & 0o111) === 0) return { refusal: "its shell is no program" };
  if (account.uid !== 0 && (await exists("/etc/nologin"))) return { refusal: "/etc/nologin exists" };
  return account;
}

export const NO_SUCH_ACCOUNT = "there is no such account";

const NO_SHELL: ReadonlySet<string> = new Set(["nologin", "false"]);
const DEFAULT_SHELL = "/bin/sh";
const DAY_MS = 24 * 60 * 60_000;

function ownAccount(login: string): LoginAccount | AccountRefusal {
  const { username, uid, gid, homedir: home, shell } = userInfo();
  if (login !== username) return { refusal: "the daemon does not run as root, so it can only log its own user in" };
  return { login, uid, gid, home, shell: shell === null || shell === "" ? DEFAULT_SHELL : shell };
}

async function anyAccount(login: string, now: number): Promise<LoginAccount | AccountRefusal> {
  const line = await lookUp("passwd", login);
  const account = line === undefined ? undefined : parsePasswdLine(line, login);
  if (line === undefined || account === undefined) return { refusal: NO_SUCH_ACCOUNT };
  const shadow = await lookUp("shadow", login);
  const refusal = shadow === undefined ? undefined : shadowRefusal(shadow, login, now);
  if (refusal !== undefined) return { refusal };
  const shell = line.split(":")[6] ?? "";
  return { ...account, shell: shell === "" ? DEFAULT_SHELL : shell };
}

/** Why a line of shadow(5) lets nobody in: locked as sshd without PAM takes it, or expired. Undefined when it does. */
export function shadowRefusal(line: string, login: string, now: number): string | undefined {
  const [name, password = "", , , , , , expires = ""] = line.split(":");
  if (name !== login) return undefined;
  if (password.startsWith("!")) return `it is locked; to admit keys and no password: usermod -p '*' ${login}`;
  if (/^[0-9]{1,7}$/.test(expires) && now >= Number(expires) * DAY_MS) return "it has expired";
  return undefined;
}

/** By getent(1), which asks whatever this machine asks; where there is none, in the file. */
async function lookUp(database: "passwd" | "shadow", login: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)("getent", [database, login], { timeout: ACCOUNT_LOOK_UP_MS });
    return stdout.split("\n")[0];
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) return undefined;
    const text = await readFile(`/etc/${database}`, "utf8").catch(() => "");
    return text.split("\n").find((line) => line.startsWith(`${login}:`));
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
