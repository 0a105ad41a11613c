import type { Stats } from "node:fs";
import { lstat, readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { basename, dirname, join } from "node:path";
import { shellWord } from "./shell-word.ts";

/**
 * What to say of a file or folder of secrets that belongs to another user than the one who runs this: `fact` goes on after
 * its path. A folder is given away (chown -R) only where it is surely one of ours, for whatever else could lie in it.
 */
export async function foreignOwner(
  path: string,
  { uid }: Pick<Stats, "uid">,
  kind: "folder" | "file",
): Promise<{ readonly fact: string; readonly next: string }> {
  const user = process.geteuid?.() ?? 0;
  const [owner, own] = await Promise.all([userName(uid), userName(user)]);
  const fact = `belongs to ${owner.text}, not to ${own.text}, who runs this`;
  const sudo = user === 0 ? "" : "sudo ";
  const word = shellWord(path);
  if (kind === "file") return { fact, next: `If it is yours: ${sudo}chown ${own.word} ${word}` };
  if (await isSurelyOurs(path, user)) return { fact, next: `If it is yours: ${sudo}chown -R ${own.word} ${word}` };
  const next = `Run it as ${owner.text}, or name your own: --keys DIR (of a directory or rendezvous: --data DIR)`;
  return { fact, next };
}

/** The folder where an ordinary user's keys lie if nothing else is said; or the state folder in one that is private. */
async function isSurelyOurs(path: string, user: number): Promise<boolean> {
  if (user === 0) return false; // all is in its reach
  if (path === join(homeOf(), ".local", "share", "sshnp", "keys")) return true;
  const above = await lstat(dirname(path)).catch(() => undefined);
  return basename(path) === "state" && above?.uid === user && (above.mode & 0o077) === 0;
}

/** Of the user who runs this, whatever $HOME says. */
function homeOf(): string {
  try {
    return userInfo().homedir;
  } catch {
    return ""; // a user without an entry
  }
}

async function userName(uid: number): Promise<{ readonly text: string; readonly word: string }> {
  const lines = (await readFile("/etc/passwd", "utf8").catch(() => "")).split("\n");
  const name = lines.map((line) => line.split(":")).find((fields) => fields[2] === String(uid))?.[0] ?? "";
  if (!/^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,63}$/.test(name)) return { text: `user ${uid}`, word: String(uid) };
  return { text: name, word: name };
}
