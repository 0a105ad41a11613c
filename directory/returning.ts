/**
 * When devices are to come back to a directory that ends because it was told to, or that has too much to do. Nobody vouches for it
 * on the way: whoever is in between could as well keep a device from its directory altogether, and a device waits no longer than
 * TOLD_TO_RETURN_MS.
 */
import { RETURN_SLOT_MS, RETURN_SPREAD_MS } from "../protocol/limits.ts";

/**
 * For each of so many devices a slot of its own: in how many ms it is to come back, the first at once. They are RETURN_SLOT_MS apart,
 * or closer where there are more than fit into RETURN_SPREAD_MS.
 */
export function* returnSlots(devices: number): Generator<number, void, void> {
  const apart = Math.min(RETURN_SLOT_MS, RETURN_SPREAD_MS / devices);
  for (let i = 0; i < devices; i++) yield Math.floor(i * apart);
}

/** The reason of a WebSocket's close (RFC 6455 section 5.5.1) that tells a device to be back in so many ms. */
export function returnReason(ms: number): string {
  return `back in ${ms} ms`;
}

/** In how many ms a device is told to be back by such a reason; undefined where it is none. */
export function toldReturn(reason: string): number | undefined {
  const ms = /^back in ([0-9]{1,9}) ms$/.exec(reason)?.[1];
  return ms === undefined ? undefined : Number(ms);
}

/** `retry-after` (RFC 9110 section 10.2.3) for somebody who is to ask again in so many ms: whole seconds, one at least. */
export function retryAfter(ms: number): string {
  return String(Math.max(1, Math.ceil(ms / 1000)));
}

/** In how many ms to ask again by that header; 0 where it tells none, or tells a date. */
export function toldRetryAfter(header: string | undefined): number {
  const seconds = /^[0-9]{1,4}$/.exec(header ?? "")?.[0];
  return seconds === undefined ? 0 : Number(seconds) * 1000;
}
