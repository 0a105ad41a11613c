import { networkInterfaces } from "node:os";
import { NETWORK_POLL_MS, SLEPT_MS } from "../protocol/limits.ts";

/** This machine's IP addresses. */
export type Addresses = ReadonlySet<string>;

export interface NetworkChange {
  /** Those that the machine has now, as far as it tells. */
  readonly addresses: Addresses | undefined;
  /** Whether there is one that was not there before, so that more may be reached than before. */
  readonly hasNew: boolean;
  /** Whether the machine has slept, so that nothing is known of what it was connected to. */
  readonly hasSlept: boolean;
}

/** Tells when the network may be another one than before: other addresses of this machine, or it has slept. */
export interface NetworkWatch {
  /** Calls `listener` at each change; the result ends that. */
  onChange(listener: (change: NetworkChange) => void): () => void;
}

/** Where the facts come from; arguments, so that tests can set them. */
export interface Surroundings {
  /** @throws when the kernel does not tell. */
  readonly addresses: () => Addresses;
  /** ms that go on while the machine sleeps. */
  readonly now: () => number;
  /** Calls `action` every `ms`; the result ends that. */
  readonly every: (ms: number, action: () => void) => () => void;
}

/**
 * Node tells of no change, so it looks every NETWORK_POLL_MS, while somebody listens. Link-local addresses come and go without
 * being told: each interface makes its own when it comes up, on a machine with containers one for each of them. The kernel
 * may not tell, for want of a descriptor or because a sandbox lets nobody ask; then what it told last still counts.
 */
export function watchNetwork({ addresses, now, every }: Surroundings = THIS_MACHINE): NetworkWatch {
  return {
    onChange(listener) {
      let [known, lookedAt] = [told(addresses), now()];
      return every(NETWORK_POLL_MS, () => {
        const [current, time] = [told(addresses) ?? known, now()];
        const hasSlept = time - lookedAt > NETWORK_POLL_MS + SLEPT_MS;
        const hasNew = hasOther(current, known);
        const hasLost = hasOther(known, current);
        [known, lookedAt] = [current, time];
        if (hasSlept || hasNew || hasLost) listener({ addresses: current, hasNew, hasSlept });
      });
    },
  };
}

/** Whether a socket's own address, as Node prints it, is among a machine's: an IPv6 one may have a zone, or be an IPv4 one. */
export function hasAddress(addresses: Addresses, local: string): boolean {
  return addresses.has(local.replace(/%.*$/, "").replace(/^::ffff:(?=.*\.)/i, ""));
}

function told(addresses: () => Addresses): Addresses | undefined {
  try {
    return addresses();
  } catch {
    return undefined;
  }
}

/** Whether `addresses` has one that `others` has not, link-local ones aside; of what is not known there is none. */
function hasOther(addresses: Addresses | undefined, others: Addresses | undefined): boolean {
  if (addresses === undefined || others === undefined) return false;
  return [...addresses].some((address) => !others.has(address) && !LINK_LOCAL.test(address));
}

/** fe80::/10 (RFC 4291 section 2.5.6) and 169.254.0.0/16 (RFC 3927). */
const LINK_LOCAL = /^(?:fe[89ab][0-9a-f]:|169\.254\.)/i;

const THIS_MACHINE: Surroundings = {
  addresses: () =>
    new Set(Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address))),
  now: () => Date.now(),
  every: (ms, action) => {
    const timer = setInterval(action, ms);
    return () => clearInterval(timer);
  },
};
