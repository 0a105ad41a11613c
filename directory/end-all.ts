import { inTime } from "../keys/in-time.ts";
import { PART_END_MS } from "../protocol/limits.ts";

/**
 * Ends one after the other, whatever comes of the ones before; `failed` hears of each that could not be ended, or not within
 * PART_END_MS, for which the process is kept alive: what a part waits for may hold no timer and no socket any more.
 */
export async function endAll(ends: readonly (() => unknown)[], failed: (error: unknown) => void): Promise<void> {
  for (const end of ends) await inTime(ended(end), PART_END_MS, tooLate).catch(failed);
}

async function ended(end: () => unknown): Promise<void> {
  await end();
}

function tooLate(): never {
  throw new Error("a part has not ended in time");
}
