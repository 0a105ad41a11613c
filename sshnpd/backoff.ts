import { AskAgainError, NobodyThereError } from "../directory/client.ts";
import {
  LINK_LASTED_MS,
  RECONNECT_ABSENT_MS,
  RECONNECT_FIRST_MS,
  RECONNECT_MS,
  RECONNECT_PROXY_ALONE,
  TOLD_TO_RETURN_MS,
} from "../protocol/limits.ts";
import { retryDelay } from "../protocol/retry-delay.ts";

/**
 * When to try again. Each wait ends at a random moment of a span that begins with RECONNECT_FIRST_MS and doubles (full
 * jitter), so that a directory that was away is not met by all its devices at once.
 *
 * How far it doubles depends on what failed. While nobody is there, asking often burdens nobody, and those who come back
 * within RECONNECT_ABSENT_MS are as many in a second as after a short restart. A directory that is there and does not
 * cope, refuses or breaks off is left alone for up to RECONNECT_MS. A proxy says that nobody is behind it where a directory is
 * overloaded, too: it is believed for RECONNECT_PROXY_ALONE times, which a restart takes, until a link has lasted.
 *
 * A directory that says when to come back is obeyed for TOLD_TO_RETURN_MS at most. One that is restarted tells each device a slot of
 * its own, which is kept to; one that has too much to do tells many the same second, over which they spread: the wait above is
 * added, of a span of a second at least. Nobody vouches for a slot: anybody on the path can end a link with one. So it is kept to
 * after a link that has lasted alone, once for each, and the wait above is added to all others.
 */
export class Backoff {
  readonly #random: () => number;
  #absences = 0;
  #failures = 0;
  #proxiesAlone = 0;

  /** `random`: a number from 0 to below 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Milliseconds to wait after `error`, which has ended a link of `linkedMs`, or an attempt where that is undefined. */
  after(error: unknown, linkedMs: number | undefined): number {
    const hasLasted = linkedMs !== undefined && linkedMs >= LINK_LASTED_MS;
    if (hasLasted) this.reset();
    const told = error instanceof AskAgainError ? Math.min(error.wait, TOLD_TO_RETURN_MS) : 0;
    if (hasLasted && error instanceof AskAgainError && error.code === "E_DIRECTORY") return told;
    if (isAbsence(error) || (isProxyAlone(error) && this.#proxiesAlone++ < RECONNECT_PROXY_ALONE)) {
      return retryDelay(this.#absences++, this.#random(), ABSENT_SPANS);
    }
    this.#absences = 0;
    const isWholeSeconds = told > 0 && error instanceof AskAgainError && error.code !== "E_DIRECTORY";
    return told + retryDelay(this.#failures++, this.#random(), isWholeSeconds ? TOLD_SPANS : SPANS);
  }

  /** What failed before says nothing about what is to come. */
  reset(): void {
    this.#absences = 0;
    this.#failures = 0;
    this.#proxiesAlone = 0;
  }

  /** That nobody was there says nothing about what is to come. How a directory coped that was there does. */
  resetAbsences(): void {
    this.#absences = 0;
  }
}

/** Whether nothing at all was reached. */
export function isAbsence(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof NobodyThereError && error.cause.saidBy === "network";
}

function isProxyAlone(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof NobodyThereError && error.cause.saidBy === "proxy";
}

const SPANS = { first: RECONNECT_FIRST_MS, limit: RECONNECT_MS };
/** Retry-After tells whole seconds (RFC 9110 section 10.2.3), so those who were told the same one are spread over one. */
const TOLD_SPANS = { ...SPANS, least: 1000 };
const ABSENT_SPANS = { first: RECONNECT_FIRST_MS, limit: RECONNECT_ABSENT_MS };
