/** What @types/node leaves out (Node's documentation, process.initgroups). */
type Groups = typeof process & { initgroups(user: string, extraGroup: number): void };

/**
 * Makes this process the account for good, with its groups; where it runs as no root it must be that already.
 * @throws {Error} when it is not that afterwards.
 */
export function becomeAccount(login: string, uid: number, gid: number): void {
  if (uid !== 0 && process.geteuid?.() === 0) {
    (process as Groups).initgroups(login, gid);
    process.setgid?.(gid);
    process.setuid?.(uid);
  }
  const ids = [process.getuid?.(), process.geteuid?.(), process.getgid?.(), process.getegid?.()];
  const wanted = uid === 0 ? [0, 0, 0, 0] : [uid, uid, gid, gid];
  if (ids.some((id, index) => id !== wanted[index])) throw new Error(`cannot become user ${login}`);
}
