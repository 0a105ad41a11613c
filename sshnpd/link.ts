import { setTimeout as delay } from "node:timers/promises";
import type { Link, LinkEvent } from "../directory/client.ts";
import { DeniedError, PeerError, SecurityError, SetupError, UnavailableError } from "../keys/errors.ts";
import { Backoff, isAbsence } from "./backoff.ts";
import { hasAddress, type NetworkWatch } from "./network-watch.ts";

export interface LinkKeeperOptions {
  /**
   * One attempt, up to the directory's welcome; `signal` ends it, and the link after it. It is aborted too when either is over by
   * itself, so whatever is begun with it lasts no longer. `onConnected` is to be told this machine's own address of the connection
   * that the link will have.
   */
  readonly open: (signal: AbortSignal, onConnected: (localAddress: string | undefined) => void) => Promise<Link>;
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
 * Keeps a link to the directory until `signal` is aborted, then resolves. After a loss it comes back when its Backoff says so.
 *
 * When this machine has no more the address from which a link, an attempt or the last failed one was made, or has slept before it
 * was linked, that is over, and it tries at once: what failed then failed on another network. An address that is new ends nothing,
 * for on a machine with containers they come and go all the time: a link is asked for a sign of life, an attempt goes on
 * (its dial asks again every REDIAL_MS), and where nobody was there it tries at once.
 * @throws what isFinal tells.
 */
export async function keepLinked(options: LinkKeeperOptions): Promise<void> {
  const { open, onLinked, onEvent, onLost, random, network, signal } = options;
  const backoff = new Backoff(random);
  let wasLinked = false;
  while (!signal.aborted) {
    const moved = new AbortController();
    const over = new AbortController();
    let link: Link | undefined;
    let from: string | undefined;
    let waitsForSomebody = false;
    const forget = network?.onChange(({ addresses, hasNew, hasSlept }) => {
      const isElsewhere = from !== undefined && addresses !== undefined && !hasAddress(addresses, from);
      if (isElsewhere || hasSlept) backoff.reset();
      else if (hasNew) backoff.resetAbsences();
      const isOver = isElsewhere || (hasSlept && link === undefined) || (hasNew && waitsForSomebody);
      if (isOver) moved.abort(networkChanged());
      else if (hasNew || hasSlept) link?.probe();
    });
    const stay = AbortSignal.any([signal, moved.signal]);
    let linkedAt: number | undefined;
    try {
      link = await open(AbortSignal.any([stay, over.signal]), (address) => (from = address));
      linkedAt = performance.now();
      wasLinked = true;
      onLinked(link);
      for await (const event of link.events) onEvent(event, link);
    } catch (error) {
      link?.close();
      link = undefined;
      over.abort();
      if (signal.aborted) return;
      if (isFinal(error, wasLinked)) throw error;
      const wait = backoff.after(error, linkedAt === undefined ? undefined : performance.now() - linkedAt);
      onLost(error, wait);
      waitsForSomebody = isAbsence(error);
      await delay(wait, undefined, { signal: stay }).catch(() => {});
    } finally {
      over.abort();
      forget?.();
    }
  }
}

/**
 * Whether trying again is of no use: another daemon has taken over; or, while this one was never linked, what it was
 * told to do cannot work. Later the same answers may be a directory's passing trouble, and a device must come back. A
 * device that its owner has revoked waits for him to take that back.
 */
export function isFinal(error: unknown, wasLinked: boolean): boolean {
  if (error instanceof DeniedError && error.code === "E_REPLACED") return true;
  if (error instanceof DeniedError && error.code === "E_PROXY_AUTH") return false; // the next network may have none
  if (wasLinked || (error instanceof DeniedError && error.code === "E_REVOKED")) return false;
  if (error instanceof PeerError) return error.code === "E_VERSION";
  return error instanceof DeniedError || error instanceof SecurityError || error instanceof SetupError;
}

function networkChanged(): UnavailableError {
  return new UnavailableError("E_DIRECTORY", "This machine's network has changed, or it has slept.", {
    next: "Nothing is to be done.",
  });
}
