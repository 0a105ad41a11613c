import { readFileSync, type Stats } from "node:fs";

/** A line as `ls -l` prints it, which sftp shows to people; `name` as it is. */
export function longName(stats: Stats, name: Uint8Array, now: number): Uint8Array {
  const { mode, nlink, size, mtimeMs, uid, gid } = stats;
  const columns = [
    `${typeOf(stats)}${permissions(mode)}`,
    String(nlink).padStart(3),
    nameIn("/etc/passwd", uid).padEnd(8),
    nameIn("/etc/group", gid).padEnd(8),
    String(size).padStart(8),
    time(mtimeMs, now),
    "",
  ];
  return Buffer.concat([Buffer.from(columns.join(" ")), name]);
}

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const HALF_YEAR_MS = (365 * 24 * 60 * 60_000) / 2;

function typeOf(stats: Stats): string {
  if (stats.isDirectory()) return "d";
  if (stats.isSymbolicLink()) return "l";
  if (stats.isFIFO()) return "p";
  if (stats.isSocket()) return "s";
  if (stats.isBlockDevice()) return "b";
  return stats.isCharacterDevice() ? "c" : "-";
}

function permissions(mode: number): string {
  const three = (shift: number, special: boolean, letter: string): string => {
    const bits = (mode >> shift) & 7;
    const execute = (bits & 1) !== 0;
    const last = special ? (execute ? letter : letter.toUpperCase()) : execute ? "x" : "-";
    return `${(bits & 4) === 0 ? "-" : "r"}${(bits & 2) === 0 ? "-" : "w"}${last}`;
  };
  return [
    three(6, (mode & 0o4000) !== 0, "s"),
    three(3, (mode & 0o2000) !== 0, "s"),
    three(0, (mode & 0o1000) !== 0, "t"),
  ].join("");
}

function time(ms: number, now: number): string {
  const date = new Date(ms);
  const day = `${MONTHS[date.getMonth()] ?? "???"} ${String(date.getDate()).padStart(2)}`;
  const isRecent = Math.abs(now - ms) < HALF_YEAR_MS;
  const clock = `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
  return `${day} ${isRecent ? clock : String(date.getFullYear()).padStart(5)}`;
}

const tables = new Map<string, ReadonlyMap<string, string>>();

/** The name of a user or group that stands in the file, else its number. */
function nameIn(file: "/etc/passwd" | "/etc/group", id: number): string {
  let table = tables.get(file);
  if (table === undefined) {
    table = readTable(file);
    tables.set(file, table);
  }
  return table.get(String(id)) ?? String(id);
}

function readTable(file: string): ReadonlyMap<string, string> {
  try {
    const lines = readFileSync(file, "utf8").split("\n");
    return new Map(lines.map((line) => line.split(":")).map(([name = "", , id = ""]) => [id, name]));
  } catch {
    return new Map();
  }
}
