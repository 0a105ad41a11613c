import type { Site } from "./site.ts";
import type { Target } from "./target.ts";

interface Named {
  /** A few words with hyphens, by which it is asked for. */
  readonly name: string;
  /** What is attacked, in words. */
  readonly surface: string;
  /** What has to be there before, such as bytes recorded before a restart. It does not count as the attack. */
  readonly prepare?: (target: Target, signal: AbortSignal) => Promise<void>;
  /** What an honest member does meanwhile besides connecting, until `signal` is aborted. Rejects when it did not succeed. */
  readonly meanwhile?: (target: Target, signal: AbortSignal) => Promise<string>;
}

/** From a process of its own, whose work nobody else has to wait for: all that needs no more than the addresses. */
interface FromElsewhere extends Named {
  readonly from: "elsewhere";
  /** As that of the other kind. */
  readonly run: (site: Site, signal: AbortSignal) => Promise<string>;
}

/** From between the ends and the rendezvous, where the legs of honest members pass too. */
interface FromBetween extends Named {
  readonly from: "between";
  /**
   * Attacks until `signal` is aborted, then lets go of all sockets and resolves. Rejects when the system did what it must
   * not: something was admitted, answered wrongly, or crashed. Resolves to what was done, in a few words.
   */
  readonly run: (target: Target, signal: AbortSignal) => Promise<string>;
}

/** Bounded hostile traffic against one system, all on loopback. */
export type Attack = FromElsewhere | FromBetween;
