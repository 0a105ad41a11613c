import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** Clock ticks a second of proc(5); the same on all of Linux that Node runs on. */
const TICKS = 100;

/** CPU time that a process has used so far, in seconds. */
export function cpuSecondsOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** What a process has in memory, in bytes: all of it, and what remains when shared pages are divided among their users. */
export function residentOf(pid: number): { readonly rss: number; readonly pss: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const bytes = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(rollup)?.[1]) * 1024;
  return { rss: bytes("Rss"), pss: bytes("Pss") };
}

/** How long {@link settledRss} takes: two rounds of a link's heartbeats, and V8's collection of what the start left. */
const SETTLING_S = 45;

/** The same for a bench that measures each rate for so many seconds: less where that is shorter than usual. */
export function settlingSeconds(seconds: number): number {
  return Math.min(SETTLING_S, Math.ceil(12 * seconds));
}

const MEDIAN_OF_S = 21; // one round

/**
 * The resident memory of a process that is left alone, in bytes: the median of the last round of heartbeats, or of the last half of
 * a shorter time.
 */
export async function settledRss(pid: number, signal: AbortSignal, seconds: number = SETTLING_S): Promise<number> {
  const samples: number[] = [];
  for (let second = 0; second < seconds; second++) {
    await delay(1000, undefined, { signal });
    samples.push(residentOf(pid).rss);
  }
  const last = samples.slice(-Math.min(MEDIAN_OF_S, Math.ceil(seconds / 2))).sort((a, b) => a - b);
  return last[Math.floor((last.length - 1) / 2)] ?? Number.NaN;
}

/** The processes below `root`, itself not among them. */
export function descendantsOf(root: number): number[] {
  const parents = new Map<number, number>();
  for (const entry of readdirSync("/proc")) {
    try {
      const stat = readFileSync(`/proc/${Number(entry)}/stat`, "utf8");
      parents.set(Number(entry), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // no process, or one that has ended meanwhile
    }
  }
  const isBelow = (pid: number): boolean => {
    const parent = parents.get(pid);
    return parent !== undefined && (parent === root || isBelow(parent));
  };
  return [...parents.keys()].filter(isBelow);
}

/**
 * What one connected, idle TCP socket is in the kernel, in bytes: the objects alone, as its buffers are empty then. Undefined
 * where only root may see it.
 */
export function kernelBytesPerSocket(): number | undefined {
  let lines: string[];
  try {
    lines = readFileSync("/proc/slabinfo", "utf8").split("\n");
  } catch {
    return undefined;
  }
  const sizes = new Map(lines.map((line) => line.split(/\s+/)).map(([name = "", , , size]) => [name, Number(size)]));
  return SOCKET_OBJECTS.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
}

const SOCKET_OBJECTS = ["TCP", "sock_inode_cache", "filp", "dentry", "eventpoll_epi"];
