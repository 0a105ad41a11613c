import { DeniedError, PeerError, SecurityError, SetupError } from "../keys/errors.ts";
import type { Link, LinkEvent } from "../directory/client.ts";
import { RECONNECT_FIRST_MS, RECONNECT_MS } from "../protocol/limits.ts";
import { setTimeout as delay } from "node:timers/promises";

export interface LinkKeeperOptions {
  /** One attempt, up to the directory's welcome. */
  readonly open: () => Promise<Link>;
  readonly onLinked: (link: Link) => void;
  readonly onEvent: (event: LinkEvent, link: Link) => void;
  /** The link, or an attempt at one, has failed; the next attempt follows after `wait` ms. */
  readonly onLost: (error: unknown, wait: number) => void;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  readonly signal: AbortSignal;
}

/**
 * Keeps a link to the directory until `signal` is aborted, then resolves. After a loss it comes back at a random moment
 * of a span that begins with RECONNECT_FIRST_MS and doubles up to RECONNECT_MS (full jitter), so that a directory that
 * was away is not met by all its devices at once. A link that lasted begins anew with the first span.
 * @throws what isFinal tells.
 */
export async function keepLinked(options: LinkKeeperOptions): Promise<void> {
  const { open, onLinked, onEvent, onLost, random, signal } = options;
  let failures = 0;
  let wasLinked = false;
  while (!signal.aborted) {
    let linkedAt = Number.POSITIVE_INFINITY;
    try {
      const link = await open();
      linkedAt = performance.now();
      wasLinked = true;
      onLinked(link);
      for await (const event of link.events) onEvent(event, link);
    } catch (error) {
      if (signal.aborted) return;
      if (isFinal(error, wasLinked)) throw error;
      if (performance.now() - linkedAt >= RECONNECT_MS) failures = 0;
      const wait = reconnectDelay(failures++, random());
      onLost(error, wait);
      await delay(wait, undefined, { signal }).catch(() => {});
    }
  }
}

/** Milliseconds until the next attempt after `failures` in a row, `random` from 0 to below 1. */
export function reconnectDelay(failures: number, random: number): number {
  return Math.floor(random * Math.min(RECONNECT_MS, RECONNECT_FIRST_MS * 2 ** Math.min(failures, 16)));
}

/**
 * Whether trying again is of no use: another daemon has taken over; or, while this one was never linked, what it was
 * told to do cannot work. Later the same answers may be a directory's passing trouble, and a device must come back.
 */
export function isFinal(error: unknown, wasLinked: boolean): boolean {
  if (error instanceof DeniedError && error.code === "E_REPLACED") return true;
  if (wasLinked) return false;
  if (error instanceof PeerError) return error.code === "E_VERSION";
  return error instanceof DeniedError || error instanceof SecurityError || error instanceof SetupError;
}
