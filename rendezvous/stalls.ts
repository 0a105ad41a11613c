import type { Duplex } from "node:stream";
import { STALLED_BYTES, STALLED_MS } from "../protocol/limits.ts";

/** One direction of a splice that waits for its reader. */
export interface Stall {
  readonly from: Duplex;
  readonly to: Duplex;
}

/**
 * The directions of splices that wait for their reader, and what they hold. One of them holds little; whoever brings hundreds
 * of sessions together and reads none fills the memory of everybody. So when those that have taken nothing for STALLED_MS
 * hold more than STALLED_BYTES together, the ones that have stopped longest are cut. Every transfer waits for its reader again
 * and again; who reads slowly, but reads, is not meant.
 */
export class Stalls {
  /** With the time since when; who stopped first comes first. */
  readonly #stalls = new Map<Stall, number>();
  readonly #now: () => number;

  /** `now` in milliseconds of a clock that does not run backwards. */
  constructor(now: () => number) {
    this.#now = now;
  }

  add(stall: Stall): void {
    if (!this.#stalls.has(stall)) this.#stalls.set(stall, this.#now());
  }

  delete(stall: Stall): void {
    this.#stalls.delete(stall);
  }

  /** To be called every now and then. Costs as much as there are readers that have stopped. */
  trim(): void {
    const latest = this.#now() - STALLED_MS;
    const stopped: Stall[] = [];
    for (const [stall, since] of this.#stalls) {
      if (since > latest) break;
      stopped.push(stall);
    }
    let held = stopped.reduce((sum, stall) => sum + heldBy(stall), 0);
    for (const stall of stopped) {
      if (held <= STALLED_BYTES) return;
      held -= heldBy(stall);
      this.#stalls.delete(stall);
      stall.to.destroy();
      stall.from.destroy();
    }
  }
}

function heldBy({ from, to }: Stall): number {
  return from.readableLength + to.writableLength;
}
