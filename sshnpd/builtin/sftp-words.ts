import { access, constants, readFile } from "node:fs/promises";
import { SFTP_PROGRAM } from "../sftp-program.ts";
import { SFTP_HEAP_MIB } from "../../protocol/limits.ts";
import { shellWords, wordsAs } from "./account-words.ts";
import type { LoginAccount } from "./login-account.ts";

/** Which program serves sftp: `auto` is that of OpenSSH where it is installed, else `own`. */
export type SftpServer = "auto" | "own";

/**
 * The words that serve sftp with the rights of an account.
 *
 * The system's server is started by the account's shell, as sshd does. Ours starts as root, because the account need not be
 * able to read Node and this package, and becomes the account before it reads anything; no shell is in between, so it
 * is for those alone whose shell is a usual one (/etc/shells), for a restricted one may forbid it.
 * @throws {Error} when that shell is none of them.
 */
export async function sftpWords(account: LoginAccount, server: SftpServer): Promise<readonly string[]> {
  if (server === "auto") {
    for (const path of SYSTEM_SERVERS) if (await isProgram(path)) return wordsAs(account, shellWords(account, path));
  }
  if (!(await isUsual(account.shell))) throw new Error(`sftp is refused: ${account.shell} is not in /etc/shells`);
  const child = [process.execPath, `--max-old-space-size=${SFTP_HEAP_MIB}`, SFTP_PROGRAM];
  if (process.geteuid?.() !== 0) return wordsAs(account, child);
  return [...child, account.login, String(account.uid), String(account.gid)];
}

const SYSTEM_SERVERS = [
  "/usr/lib/openssh/sftp-server",
  "/usr/libexec/openssh/sftp-server",
  "/usr/libexec/sftp-server",
  "/usr/lib/ssh/sftp-server",
];

async function isUsual(shell: string): Promise<boolean> {
  const text = await readFile("/etc/shells", "utf8").catch(() => "/bin/sh\n/bin/ash\n/bin/bash");
  return text.split("\n").some((line) => line.trim() === shell);
}

async function isProgram(path: string): Promise<boolean> {
  return await access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
