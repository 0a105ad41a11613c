import type { LoginAccount } from "./login-account.ts";

/**
 * The words that run a program as an account, in its home folder.
 *
 * Node's own `uid` and `gid` of a child leave it no supplementary groups at all, so a user would lose `docker` or
 * `dialout`; and su(1) and runuser(1) start PAM sessions, stay in between as parents, and signals meet them first.
 * setpriv(1) of util-linux sets user, group and groups and becomes the program, under the same process number.
 */
export function wordsAs(account: LoginAccount, program: readonly string[]): readonly string[] {
  const become = becomeWords(account);
  return [...(become.length === 0 ? [] : ["setpriv", ...become, "--"]), ...inHome(program)];
}

/** The options of setpriv(1) that make it the account; none when it is. */
export function becomeWords({ uid, gid, login }: LoginAccount): readonly string[] {
  if (process.geteuid?.() !== 0 || uid === 0) return [];
  return ["--reuid", login, "--regid", String(gid), "--init-groups"];
}

/** The words that run a program in the home folder of who is the account already. */
export function inHome(program: readonly string[]): readonly string[] {
  return ["/bin/sh", "-c", 'umask 022; cd -- "$HOME" 2>/dev/null || cd /; exec "$@"', "sh", ...program];
}

/** What the account's shell is started as: to run a command, or as a login shell. */
export function shellWords({ shell }: LoginAccount, command: string | undefined): readonly string[] {
  if (command !== undefined) return [shell, "-c", command];
  return LOGIN_OPTION.test(shell) ? [shell, "-l"] : [shell];
}

/** Shells that take -l for what sshd says by a dash in front of their name. */
const LOGIN_OPTION = /\/(?:sh|bash|dash|ash|zsh|ksh|mksh|fish|busybox)$/;
