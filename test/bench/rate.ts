import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningProcess, startProcess } from "../support/processes.ts";
import type { Bench } from "./bench.ts";
import { cpuSecondsOf } from "./proc.ts";

const GIB = 2 ** 30;
const WARM_UP_MS = 700;

/** How fast bytes came, and what that cost some processes. */
export interface Rate {
  readonly gigabitsPerSecond: number;
  readonly cpuSecondsPerGib: number;
}

export type Task = "send" | "receive";

/** A process of end.mjs. `home`: as what it runs would have it. */
export function startEnd(home: string, task: Task, ...words: string[]): RunningProcess {
  const file = join(import.meta.dirname, "end.mjs");
  return startProcess(process.execPath, [file, task, ...words], { env: { HOME: home } });
}

/** Watches what comes to a receiving end, and the CPU time of the processes that `pids` tells. */
export async function measureRate(
  receiver: RunningProcess,
  pids: () => readonly number[],
  { seconds, signal }: Pick<Bench, "seconds" | "signal">,
): Promise<Rate> {
  await delay(WARM_UP_MS, undefined, { signal });
  const watched = pids();
  const cpu = (): number => watched.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  const [begin, bytesBefore, cpuBefore] = [performance.now(), await received(receiver), cpu()];
  await delay(seconds * 1000, undefined, { signal });
  const [bytes, cpuUsed] = [(await received(receiver)) - bytesBefore, cpu() - cpuBefore];
  if (bytes <= 0) throw new Error("nothing came");
  const elapsed = (performance.now() - begin) / 1000;
  return { gigabitsPerSecond: (bytes * 8) / elapsed / 1e9, cpuSecondsPerGib: cpuUsed / (bytes / GIB) };
}

/** Asks an end how many bytes have come to it. */
async function received(end: RunningProcess): Promise<number> {
  const before = end.stdout.split("\n").length;
  end.stdin.write("\n");
  for (;;) {
    const lines = end.stdout.split("\n");
    if (lines.length > before) return Number(lines.at(-2));
    await delay(1);
  }
}
