import { setTimeout as delay } from "node:timers/promises";
import type { Link, LinkEvent } from "../directory/client.ts";
import { DeniedError, PeerError, SecurityError, SetupError, UnavailableError } from "../keys/errors.ts";
import { Backoff } from "./backoff.ts";
import type { NetworkWatch } from "./network-watch.ts";

export interface LinkKeeperOptions {
  /** One attempt, up to the directory's welcome; `signal` ends it, and the link after it. */
  readonly open: (signal: AbortSignal) => Promise<Link>;
  readonly onLinked: (link: Link) => void;
  readonly onEvent: (event: LinkEvent, link: Link) => void;
  /** The link, or an attempt at one, has failed; the next attempt follows after `wait` ms. */
  readonly onLost: (error: unknown, wait: number) => void;
  /** A number from 0 to below 1. */
  readonly random: () => number;
  /** Tells when what failed may work; without it a lost network is known by the heartbeat alone. */
  readonly network?: NetworkWatch;
  readonly signal: AbortSignal;
}

/**
 * Keeps a link to the directory until `signal` is aborted, then resolves. After a loss it comes back when its Backoff says
 * so, and at once when the network has changed: what failed before then failed on another network.
 * @throws what isFinal tells.
 */
export async function keepLinked(options: LinkKeeperOptions): Promise<void> {
  const { open, onLinked, onEvent, onLost, random, network, signal } = options;
  const backoff = new Backoff(random);
  let wasLinked = false;
  while (!signal.aborted) {
    const changed = new AbortController();
    let link: Link | undefined;
    const forget = network?.onChange((addresses) => {
      backoff.reset();
      if (link === undefined) changed.abort(networkChanged());
      else link.networkChanged(addresses);
    });
    const unlinked = AbortSignal.any([signal, changed.signal]);
    let linkedAt: number | undefined;
    try {
      link = await open(unlinked);
      linkedAt = performance.now();
      wasLinked = true;
      onLinked(link);
      for await (const event of link.events) onEvent(event, link);
    } catch (error) {
      link = undefined;
      if (signal.aborted) return;
      if (isFinal(error, wasLinked)) throw error;
      const wait = backoff.after(error, linkedAt === undefined ? undefined : performance.now() - linkedAt);
      onLost(error, wait);
      await delay(wait, undefined, { signal: unlinked }).catch(() => {});
    } finally {
      forget?.();
    }
  }
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

function networkChanged(): UnavailableError {
  return new UnavailableError("E_DIRECTORY", "This machine's network has changed.", { next: "Nothing is to be done." });
}
