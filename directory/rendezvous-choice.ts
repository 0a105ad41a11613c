import { TICKET_ENTRIES, UNMEASURED_MS } from "../protocol/limits.ts";
import { type Distances, SILENT } from "../protocol/messages/rendezvous-distances.ts";

/** What the choice of a rendezvous looks at. */
export interface Candidate {
  /** As distanceKey() makes it. */
  readonly distanceKey: string;
  /** As it names it itself; empty: not said. */
  readonly region: string;
  readonly legs: number;
  /** Legs that it takes at most. */
  readonly most: number;
  readonly isDraining: boolean;
}

/**
 * The candidates in the order in which a ticket is to name them: the sum of both ends' round trips counts, load adds to it, and
 * chance decides among those that are about equal, so that not all sessions of the time between two reports go to one. Behind them
 * come those that are full or that an end has found silent; those that drain come last, and only where all others are like that.
 * One that an end has not measured counts as the nearest of its region, or as UNMEASURED_MS; the best of them has the last place of
 * a ticket, where it costs nothing and is measured, so that an end finds the nearest of any number.
 *
 * An end that lies hurts its own sessions, a rendezvous that lies about itself gets or loses traffic. Costs a sort and a look at each
 * measurement. `random`: numbers from 0 to below 1.
 */
export function inOrder<One extends Candidate>(
  candidates: readonly One[],
  ends: readonly Distances[],
  random: () => number,
): One[] {
  const regions = new Map(candidates.map(({ distanceKey, region }) => [distanceKey, region]));
  const nearest = ends.map((distances) => nearestByRegion(distances, regions));
  const isGood = (one: One): boolean =>
    !isFull(one) && ends.every((distances) => distances.get(one.distanceKey) !== SILENT);
  const rankOf = (one: One): number => {
    const away = ends.map((distances, at) => distanceTo(one, distances, nearest[at]));
    const sum = away.reduce((all, ms) => all + ms, 0);
    return (isGood(one) ? 0 : NO_GOOD) + sum + LOAD_MS * loadOf(one) ** 2 + EQUAL_MS * random();
  };
  const ranked = candidates.map((one) => ({ one, rank: rankOf(one) })).sort((a, b) => a.rank - b.rank);
  const order = ranked.map(({ one }) => one);
  const serving = order.filter((one) => !one.isDraining);
  if (serving.some(isGood)) return withOneToMeasure(serving, ends, isGood);
  return [...serving, ...order.filter((one) => one.isDraining)];
}

function withOneToMeasure<One extends Candidate>(
  order: readonly One[],
  ends: readonly Distances[],
  isGood: (one: One) => boolean,
): One[] {
  const last = TICKET_ENTRIES - 1;
  const isUnmeasured = (one: One): boolean =>
    ends.some((distances) => distances.size > 0 && !distances.has(one.distanceKey));
  const toMeasure = order.slice(last).find((one) => isGood(one) && isUnmeasured(one));
  if (toMeasure === undefined) return [...order];
  const others = order.filter((one) => one !== toMeasure);
  return [...others.slice(0, last), toMeasure, ...others.slice(last)];
}

/** More than any sum of round trips and load. */
const NO_GOOD = 1_000_000;
/**
 * What one that is full to the brim is taken to be further away; half full a quarter of that. So what is nearer stays so until load
 * is felt, and all that comes between two reports does not go to the one that has just started.
 */
const LOAD_MS = 400;
/** Ranks that differ by less are taken for equal. */
const EQUAL_MS = 20;
const FULL_LOAD = 0.95;

function distanceTo(one: Candidate, distances: Distances, nearest: ReadonlyMap<string, number> | undefined): number {
  const measured = distances.get(one.distanceKey);
  if (measured === SILENT) return 0;
  if (measured !== undefined) return measured;
  if (nearest === undefined || nearest.size === 0) return 0; // it tells nothing of any
  return nearest.get(one.region) ?? UNMEASURED_MS;
}

/** The shortest round trip of each region. Those without one stand for nobody else, but are measured. */
function nearestByRegion(distances: Distances, regions: ReadonlyMap<string, string>): Map<string, number> {
  const nearest = new Map<string, number>();
  for (const [key, ms] of distances) {
    const region = regions.get(key);
    if (region === undefined || ms === SILENT) continue;
    const name = region === "" ? ` ${key}` : region; // no region's name has a space
    nearest.set(name, Math.min(ms, nearest.get(name) ?? ms));
  }
  return nearest;
}

function loadOf({ legs, most }: Candidate): number {
  return most === 0 ? 1 : Math.min(1, legs / most);
}

function isFull(one: Candidate): boolean {
  return loadOf(one) >= FULL_LOAD;
}
