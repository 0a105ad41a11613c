/** What the choice of a rendezvous looks at. */
export interface Candidate {
  /** As it names it itself; empty: not said. */
  readonly region: string;
  readonly legs: number;
  /** Legs that it takes at most. */
  readonly most: number;
  readonly isDraining: boolean;
}

/**
 * The candidates in the order in which a ticket is to name them. Those that drain come last, and only where every other one is full;
 * among the others load counts, and chance among those that are about equal, so that not all sessions of the time between two
 * reports go to one. One that lies about itself gets or loses traffic, and nothing else.
 *
 * Costs a sort. `random`: numbers from 0 to below 1.
 */
export function inOrder<One extends Candidate>(candidates: readonly One[], random: () => number): One[] {
  const serving = candidates.filter(({ isDraining }) => !isDraining);
  const hasRoom = serving.some((one) => !isFull(one));
  const rest = hasRoom ? [] : candidates.filter(({ isDraining }) => isDraining);
  const ranked = (some: readonly One[]): One[] =>
    some
      .map((one) => ({ one, rank: (isFull(one) ? FULL : loadOf(one)) + EQUAL * random() }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ one }) => one);
  return [...ranked(serving), ...ranked(rest)];
}

/** Loads that differ by less are taken for equal. */
const EQUAL = 0.1;
/** More than any load. */
const FULL = 2;
const FULL_LOAD = 0.95;

function loadOf({ legs, most }: Candidate): number {
  return most === 0 ? 1 : Math.min(1, legs / most);
}

function isFull(one: Candidate): boolean {
  return loadOf(one) >= FULL_LOAD;
}
