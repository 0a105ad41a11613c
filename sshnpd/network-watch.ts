import { networkInterfaces } from "node:os";
import { NETWORK_POLL_MS, SLEPT_MS } from "../protocol/limits.ts";

/** This machine's IP addresses. */
export type Addresses = ReadonlySet<string>;

/** Tells when the network may be another one than before: other addresses of this machine, or it has slept. */
export interface NetworkWatch {
  /** Calls `listener` at each change; the result ends that. */
  onChange(listener: (addresses: Addresses) => void): () => void;
}

/** Where the facts come from; arguments, so that tests can set them. */
export interface Surroundings {
  readonly addresses: () => Addresses;
  /** ms that go on while the machine sleeps. */
  readonly now: () => number;
  /** Calls `action` every `ms`; the result ends that. */
  readonly every: (ms: number, action: () => void) => () => void;
}

/** Node tells of no change, so it looks every NETWORK_POLL_MS, while somebody listens. */
export function watchNetwork({ addresses, now, every }: Surroundings = THIS_MACHINE): NetworkWatch {
  return {
    onChange(listener) {
      let [known, lookedAt] = [addresses(), now()];
      return every(NETWORK_POLL_MS, () => {
        const [current, time] = [addresses(), now()];
        const hasSlept = time - lookedAt > NETWORK_POLL_MS + SLEPT_MS;
        const isSame = current.size === known.size && [...current].every((address) => known.has(address));
        [known, lookedAt] = [current, time];
        if (hasSlept || !isSame) listener(current);
      });
    },
  };
}

const THIS_MACHINE: Surroundings = {
  addresses: () =>
    new Set(Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address))),
  now: () => Date.now(),
  every: (ms, action) => {
    const timer = setInterval(action, ms);
    return () => clearInterval(timer);
  },
};
