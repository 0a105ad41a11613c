import { readFileSync } from "node:fs";

/** How many files and sockets this process may have open; 1024 where the system does not say. */
export function openFilesAtMost(): number {
  try {
    const files = Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]);
    return Number.isSafeInteger(files) && files > 0 ? files : 1024;
  } catch {
    return 1024;
  }
}
