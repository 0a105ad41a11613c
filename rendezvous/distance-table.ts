import { DISTANCE_DUE_MS, DISTANCE_MS, DISTANCE_STEP_MS, RENDEZVOUS_DISTANCES, SILENT_MS } from "../protocol/limits.ts";
import { type Distances, SILENT } from "../protocol/messages/rendezvous-distances.ts";

/** One measurement; `key` as distanceKey() makes it. */
export interface Measured {
  readonly key: string;
  /** Round trip in ms, or SILENT. */
  readonly ms: number;
  /** ms since 1970 UTC. */
  readonly at: number;
}

/** What an end has measured of rendezvous, the RENDEZVOUS_DISTANCES measured last. Times are ms since 1970 UTC. */
export class DistanceTable {
  readonly #measured = new Map<string, Measured>();

  constructor(measured: Iterable<Measured> = []) {
    for (const one of measured) this.#measured.set(one.key, one);
  }

  get measured(): Measured[] {
    return [...this.#measured.values()];
  }

  note(key: string, ms: number, now: number): void {
    this.#measured.delete(key);
    this.#measured.set(key, { key, ms: Math.min(Math.round(ms), SILENT), at: now });
    for (const [oldest] of this.#measured) {
      if (this.#measured.size <= RENDEZVOUS_DISTANCES) break;
      this.#measured.delete(oldest);
    }
  }

  /** Whether it is to be measured, again or for the first time. One that was silent is looked at again whenever it is met. */
  isDue(key: string, now: number): boolean {
    const known = this.#measured.get(key);
    return known === undefined || known.ms === SILENT || Math.abs(now - known.at) >= DISTANCE_DUE_MS;
  }

  /**
   * What still counts, in steps of DISTANCE_STEP_MS: who may ask for a device could find by the order of its tickets, with
   * distances that he makes up, what the device has told. That one was silent counts for a short while.
   */
  told(now: number): Distances {
    const fresh = this.measured.filter(({ ms, at }) => Math.abs(now - at) < (ms === SILENT ? SILENT_MS : DISTANCE_MS));
    return new Map(fresh.map(({ key, ms }) => [key, ms === SILENT ? SILENT : inSteps(ms)]));
  }
}

function inSteps(ms: number): number {
  return Math.min(Math.round(ms / DISTANCE_STEP_MS) * DISTANCE_STEP_MS, SILENT - 1);
}
