import type { Duplex } from "node:stream";
import { STALLED_BYTES } from "../protocol/limits.ts";

/** One direction of a splice that waits for its reader. */
export interface Stall {
  readonly from: Duplex;
  readonly to: Duplex;
}

/**
 * The directions of splices whose reader has stopped for now, and what they hold. One of them holds little; whoever
 * brings hundreds of sessions together and reads none fills the memory of everybody. So when all together hold more than
 * STALLED_BYTES, those that have stopped longest are cut.
 */
export class Stalls {
  /** Who stopped first comes first. */
  readonly #stalls = new Set<Stall>();

  add(stall: Stall): void {
    this.#stalls.add(stall);
  }

  delete(stall: Stall): void {
    this.#stalls.delete(stall);
  }

  /** To be called every now and then. Costs as much as there are readers that have stopped. */
  trim(): void {
    let held = 0;
    for (const stall of this.#stalls) held += heldBy(stall);
    for (const stall of this.#stalls) {
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
