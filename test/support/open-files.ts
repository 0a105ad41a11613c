import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";

/** What a process has open: each descriptor's number, and what it leads to without the numbers of sockets and pipes. */
export function openFiles(pid: number): { readonly number: number; readonly target: string }[] {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).flatMap((name) => {
    try {
      return [{ number: Number(name), target: readlinkSync(join(folder, name)).replace(/\[[0-9]+\]/, "") }];
    } catch {
      return []; // closed meanwhile
    }
  });
}

/** The processes of this machine that descend from one, without those that have ended; with their effective users. */
export function descendants(root: number): { readonly pid: number; readonly uid: number; readonly words: string[] }[] {
  const all = readdirSync("/proc").flatMap((name) => read(Number(name)) ?? []);
  const found = new Set([root]);
  for (let before = 0; before < found.size; ) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return all.filter(({ pid }) => pid !== root && found.has(pid));
}

function read(pid: number): { pid: number; parent: number; uid: number; words: string[] } | undefined {
  if (!Number.isInteger(pid)) return undefined;
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const [, state] = /^State:\s+(\S)/m.exec(status) ?? [];
    const [, parent] = /^PPid:\s+([0-9]+)/m.exec(status) ?? [];
    const [, uid] = /^Uid:\s+[0-9]+\s+([0-9]+)/m.exec(status) ?? [];
    if (state === "Z") return undefined;
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
    return { pid, parent: Number(parent), uid: Number(uid), words };
  } catch {
    return undefined; // it has ended meanwhile
  }
}
