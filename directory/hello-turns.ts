import {
  HELLO_BACKLOG_MS,
  HELLO_MEASURE_MS,
  HELLO_TURN_MS,
  HELLOS_AT_ONCE,
  HELLOS_BESIDE_MESSAGES,
  RETURN_SLOT_MS,
  RETURN_SPREAD_MS,
} from "../protocol/limits.ts";
import type { Workload } from "./workload.ts";

/** A link whose hello has come. */
export interface Waiting {
  /** Judges the hello and answers it; never rejects. */
  takeTurn(): Promise<void>;
  /** Its turn comes too late. */
  terminate(): void;
}

/**
 * The order in which hellos are judged, some at a time. Judging one takes a millisecond of the processor, so a herd of devices
 * that come back at once has to wait; requests are answered in between and go first, and who has given up meanwhile costs
 * nothing. Times are monotonic milliseconds.
 */
export class HelloTurns {
  readonly #work: Pick<Workload, "hasMessages">;
  /** With the time until which its device waits; the first that came is the first. */
  readonly #waiting = new Map<Waiting, number>();
  #taken = 0;
  /** How many had their turn since then, while others waited all the time. */
  #had = 0;
  #since = 0;
  /** How long one turn takes, of late: a core's share where nothing is known yet. */
  #turnMs = RETURN_SLOT_MS;
  /** Until when those who were turned away take all turns there are; anybody may be, so RETURN_SPREAD_MS from now at most. */
  #promised = 0;
  /** Where in the span the last one was put for whom no turn was left, from 0 to below 1. */
  #between = 0;

  constructor(work: Pick<Workload, "hasMessages"> = { hasMessages: false }) {
    this.#work = work;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.size;
  }

  add(link: Waiting, now: number): void {
    const isFirst = this.#waiting.size === 0;
    this.#waiting.set(link, now + HELLO_TURN_MS);
    this.#next();
    if (!isFirst || this.#waiting.size === 0) return;
    this.#since = now;
    this.#had = 0;
  }

  /** It waits no longer. */
  remove(link: Waiting): void {
    this.#waiting.delete(link);
  }

  /**
   * In how many ms whoever comes now is to come back, since its hello would wait for too long; undefined: it may stay. Each is
   * given another time, as fast as turns go; those who come when all turns of RETURN_SPREAD_MS are promised come between the others,
   * evenly. What a device hears of it is the whole second after it, over which all who hear the same one spread by themselves.
   */
  turnAway(now: number): number | undefined {
    const backlog = this.#waiting.size * this.#turnMs;
    if (backlog <= HELLO_BACKLOG_MS) return undefined;
    this.#promised = Math.max(this.#promised, now + backlog) + this.#turnMs;
    const wait = this.#promised - now;
    if (wait <= RETURN_SPREAD_MS) return wait;
    this.#promised = now + RETURN_SPREAD_MS;
    this.#between = (this.#between + GOLDEN_RATIO) % 1;
    return RETURN_SPREAD_MS - this.#between * Math.max(RETURN_SPREAD_MS - backlog, RETURN_SPREAD_MS / 2);
  }

  /** To be called once a second. Ends those whose device cannot be there any more, though a network in between may have kept that to itself. */
  sweep(now: number): void {
    this.#measure(now);
    for (const [link, until] of this.#waiting) {
      if (now < until) return;
      this.#waiting.delete(link);
      link.terminate();
    }
  }

  #measure(now: number): void {
    // While nobody waits, turns are as rare as hellos are, and tell nothing; of a short while they tell little.
    if (this.#waiting.size === 0) this.#turnMs = RETURN_SLOT_MS;
    const elapsed = now - this.#since;
    if (this.#waiting.size === 0 || elapsed < HELLO_MEASURE_MS) return;
    this.#turnMs = elapsed / Math.max(1, this.#had);
    this.#since = now;
    this.#had = 0;
  }

  #next(): void {
    for (const link of this.#waiting.keys()) {
      if (this.#taken >= (this.#work.hasMessages ? HELLOS_BESIDE_MESSAGES : HELLOS_AT_ONCE)) return;
      this.#waiting.delete(link);
      this.#taken += 1;
      void link.takeTurn().finally(() => {
        this.#taken -= 1;
        this.#had += 1;
        this.#next();
      });
    }
  }
}

/** Multiples of it, modulo 1, fill the span from 0 to 1 evenly, however many they are, and none comes twice. */
const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
