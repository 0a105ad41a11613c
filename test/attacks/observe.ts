import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { memoryOf } from "../support/memory.ts";
import type { RunningProcess } from "../support/processes.ts";
import type { Target } from "./target.ts";

export const PROCESSES = ["directory", "rendezvous", "sshnpd"] as const;
export type ProcessName = (typeof PROCESSES)[number];

export interface Observed {
  memory: number;
  descriptors: number;
}

export type Processes = Readonly<Record<ProcessName, RunningProcess>>;

export function processesOf({ stack }: Target): Processes {
  return { directory: stack.directory, rendezvous: stack.rendezvous, sshnpd: stack.daemon };
}

export function observe(processes: Processes): Record<ProcessName, Observed> {
  return forEach((name) => {
    const { pid } = processes[name];
    return { memory: memoryOf(pid).now, descriptors: descriptorsOf(pid) };
  });
}

/** Open sockets, pipes and files; those of a store come and go with its tables. */
export function descriptorsOf(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  return readdirSync(folder).filter((fd) => {
    try {
      return !readlinkSync(`${folder}/${fd}`).includes("/store/");
    } catch {
      return false; // closed meanwhile
    }
  }).length;
}

/** Waits until descriptors do not become fewer any more, so that what the warm-up left behind is gone. */
export async function settled(processes: Processes, signal: AbortSignal): Promise<void> {
  let known = observe(processes);
  for (let quiet = 0; quiet < 5; quiet++) {
    await delay(200, undefined, { signal });
    const now = observe(processes);
    if (PROCESSES.some((name) => now[name].descriptors < known[name].descriptors)) quiet = 0;
    known = now;
  }
}

export async function watch(
  processes: Processes,
  most: Record<ProcessName, Observed>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const now = observe(processes);
    for (const name of PROCESSES) {
      most[name].memory = Math.max(most[name].memory, now[name].memory);
      most[name].descriptors = Math.max(most[name].descriptors, now[name].descriptors);
    }
    await delay(200, undefined, { signal }).catch(() => {});
  }
}

export function forEach<T>(value: (name: ProcessName) => T): Record<ProcessName, T> {
  return { directory: value("directory"), rendezvous: value("rendezvous"), sshnpd: value("sshnpd") };
}
