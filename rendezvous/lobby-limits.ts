import {
  ARRIVALS_BURST,
  ARRIVALS_PER_SECOND,
  ARRIVING_LEGS,
  ARRIVING_LEGS_AT_MOST,
  EARLY_DATA_TOTAL_BYTES,
  LEGS_PER_ADDRESS,
  REFUSED_LEGS,
  RENDEZVOUS_SESSIONS,
  UNPAIRED_LEGS,
  UNPAIRED_LEGS_PER_ADDRESS,
} from "../protocol/limits.ts";
import type { Rate } from "../protocol/token-bucket.ts";

export interface LobbyLimits {
  /** Legs not joined, of one origin. */
  readonly waitingPerOrigin: number;
  /** Legs, those that are joined included, of one origin. */
  readonly legsPerOrigin: number;
  /** Legs that come, of one origin. */
  readonly arrivals: Rate;
  /** Legs without a hello, of all, not counting those that have just arrived. */
  readonly arriving: number;
  /** Legs without a hello, of all. */
  readonly arrivingAtMost: number;
  /** Legs that wait for the other one, of all. */
  readonly unpaired: number;
  /** Legs that were refused and are still there, of all. */
  readonly refused: number;
  /** Sessions remembered. */
  readonly sessions: number;
  /** Bytes held for all legs not joined. */
  readonly early: number;
}

export const USUAL_LIMITS: LobbyLimits = {
  waitingPerOrigin: UNPAIRED_LEGS_PER_ADDRESS,
  legsPerOrigin: LEGS_PER_ADDRESS,
  arrivals: { perSecond: ARRIVALS_PER_SECOND, burst: ARRIVALS_BURST },
  arriving: ARRIVING_LEGS,
  arrivingAtMost: ARRIVING_LEGS_AT_MOST,
  unpaired: UNPAIRED_LEGS,
  refused: REFUSED_LEGS,
  sessions: RENDEZVOUS_SESSIONS,
  early: EARLY_DATA_TOTAL_BYTES,
};

/** The same where there may be so many sockets in all: who waits takes half of them at most, one address an eighth. */
export function limitsFor(connections: number): LobbyLimits {
  const some = Math.max(1, Math.floor(connections / 6));
  return {
    ...USUAL_LIMITS,
    legsPerOrigin: Math.min(LEGS_PER_ADDRESS, Math.max(UNPAIRED_LEGS_PER_ADDRESS, Math.floor(connections / 8))),
    arriving: Math.min(ARRIVING_LEGS, some),
    arrivingAtMost: Math.min(ARRIVING_LEGS_AT_MOST, some),
    unpaired: Math.min(UNPAIRED_LEGS, some),
    refused: Math.min(REFUSED_LEGS, some),
  };
}
