import type { Target } from "./target.ts";

/** Bounded hostile traffic against one system, all on loopback. */
export interface Attack {
  /** A few words with hyphens, by which it is asked for. */
  readonly name: string;
  /** What is attacked, in words. */
  readonly surface: string;
  /** What has to be there before, such as bytes recorded before a restart. It does not count as the attack. */
  readonly prepare?: (target: Target, signal: AbortSignal) => Promise<void>;
  /**
   * Attacks until `signal` is aborted, then lets go of all sockets and resolves. Rejects when the system did what it must
   * not: something was admitted, answered wrongly, or crashed. Resolves to what was done, in a few words.
   */
  readonly run: (target: Target, signal: AbortSignal) => Promise<string>;
}
