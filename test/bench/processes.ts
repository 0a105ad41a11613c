import { readFileSync } from "node:fs";

/** Ticks a second of the times in /proc (USER_HZ), 100 on every Linux that Node runs on. */
const TICKS = 100;

/** CPU seconds that a process has used so far, in user and kernel (utime and stime of proc(5)), its dead children left out. */
export function cpuSeconds(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Processes that this one has started, and those that they have. */
export function descendants(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return children === "" ? [] : children.split(" ").flatMap((child) => [Number(child), ...descendants(Number(child))]);
}
