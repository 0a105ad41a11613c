export interface Rate {
  readonly perSecond: number;
  /** How many may come at once. */
  readonly burst: number;
}

/** A token bucket. Times are monotonic milliseconds. */
export class TokenBucket {
  readonly #rate: Rate;
  #tokens: number;
  #filled: number;

  constructor(rate: Rate, now: number) {
    this.#rate = rate;
    this.#tokens = rate.burst;
    this.#filled = now;
  }

  /** Takes one token, or so many, if there are. */
  take(now: number, count = 1): boolean {
    this.#fill(now);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** In how many ms there are so many, if nobody takes any; 0 when there are. */
  wait(now: number, count: number): number {
    this.#fill(now);
    return Math.ceil((Math.max(0, count - this.#tokens) * 1000) / this.#rate.perSecond);
  }

  /** Undoes a take. */
  giveBack(): void {
    this.#tokens += 1;
  }

  /** Whether it is as if new, so that nothing is lost by forgetting it. */
  isFull(now: number): boolean {
    this.#fill(now);
    return this.#tokens >= this.#rate.burst;
  }

  #fill(now: number): void {
    const elapsed = Math.max(0, now - this.#filled);
    this.#tokens = Math.min(this.#rate.burst, this.#tokens + (elapsed * this.#rate.perSecond) / 1000);
    this.#filled = now;
  }
}
