import { PART_END_MS } from "../protocol/limits.ts";

/**
 * Ends one after the other, whatever comes of the ones before; `failed` hears of each that could not be ended, or not within
 * PART_END_MS, for which the process is kept alive: what a part waits for may hold no timer and no socket any more.
 */
export async function endAll(ends: readonly (() => unknown)[], failed: (error: unknown) => void): Promise<void> {
  for (const end of ends) await inTime(end).catch(failed);
}

async function inTime(end: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("a part has not ended in time")), PART_END_MS);
  });
  try {
    await Promise.race([end(), late]);
  } finally {
    clearTimeout(timer);
  }
}
