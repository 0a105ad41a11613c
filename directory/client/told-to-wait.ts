import { setTimeout as delay } from "node:timers/promises";
import { UnavailableError } from "../../keys/errors.ts";
import { TOLD_TO_WAIT_MS } from "../../protocol/limits.ts";

/** The directory does not do it now, and says when to ask again. */
export class AskAgainError extends UnavailableError {
  /** In so many ms. */
  readonly wait: number;

  constructor(code: "E_RATE" | "E_BUSY" | "E_DIRECTORY", fact: string, wait: number) {
    super(code, fact, { next: wait > 0 ? `Try again in ${Math.ceil(wait / 1000)} s.` : "Try again later." });
    this.wait = wait;
  }
}

/** The directory ends because it was told to, and says in how many ms this device is to come back. */
export function goingAway({ host }: URL, returnMs: number): AskAgainError {
  return new AskAgainError("E_DIRECTORY", `The directory at ${host} stops, or is started again.`, returnMs);
}

/**
 * Asks again as long as the directory says when, each time after that long, and gives up when the waits together would
 * exceed TOLD_TO_WAIT_MS. @throws what `ask` throws; the signal's reason.
 */
export async function askUntilAnswered<T>(
  ask: () => Promise<T>,
  { signal }: { readonly signal: AbortSignal },
): Promise<T> {
  for (let waited = 0; ; ) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof AskAgainError) || error.wait === 0) throw error;
      waited += error.wait;
      if (waited > TOLD_TO_WAIT_MS) throw error;
      await delay(error.wait, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}
