import { ARRIVAL_ORIGINS, FULL_SWEEP_MS } from "../protocol/limits.ts";
import { TokenBucket } from "../protocol/token-bucket.ts";
import type { LobbyLimits } from "./lobby-limits.ts";

/**
 * What each address has of a rendezvous: legs that wait, legs in all, and how many may come in a second. It is judged when a
 * connection arrives, ahead of all that is read or verified for it. Those without an origin are not counted: their address
 * tells nothing. Times are monotonic ms.
 */
export class Origins {
  readonly #limits: Pick<LobbyLimits, "waitingPerOrigin" | "legsPerOrigin" | "arrivals">;
  readonly #waiting = new Counts();
  readonly #all = new Counts();
  readonly #buckets = new Map<string, TokenBucket>();
  /** Of those beyond ARRIVAL_ORIGINS. */
  #shared: TokenBucket | undefined;
  #swept = -Infinity;

  constructor(limits: Pick<LobbyLimits, "waitingPerOrigin" | "legsPerOrigin" | "arrivals">) {
    this.#limits = limits;
  }

  /** Whether one more may come now; it is counted, and waits, then. */
  arrive(origin: string | undefined, now: number): boolean {
    if (origin === undefined) return true;
    if (this.#waiting.of(origin) >= this.#limits.waitingPerOrigin) return false;
    if (this.#all.of(origin) >= this.#limits.legsPerOrigin) return false;
    if (!this.#bucket(origin, now).take(now)) return false;
    this.#waiting.add(origin);
    this.#all.add(origin);
    return true;
  }

  /** One of them waits no more. */
  joined(origin: string | undefined): void {
    if (origin !== undefined) this.#waiting.release(origin);
  }

  gone(origin: string | undefined, { waited }: { readonly waited: boolean }): void {
    if (origin === undefined) return;
    if (waited) this.#waiting.release(origin);
    this.#all.release(origin);
  }

  /** Forgets the addresses that have their whole rate again. */
  sweep(now: number): void {
    this.#swept = now;
    for (const [origin, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(origin);
  }

  #bucket(origin: string, now: number): TokenBucket {
    const known = this.#buckets.get(origin);
    if (known !== undefined) return known;
    if (this.#buckets.size >= ARRIVAL_ORIGINS && now - this.#swept >= FULL_SWEEP_MS) this.sweep(now);
    const bucket = new TokenBucket(this.#limits.arrivals, now);
    if (this.#buckets.size >= ARRIVAL_ORIGINS) return (this.#shared ??= bucket);
    this.#buckets.set(origin, bucket);
    return bucket;
  }
}

class Counts {
  readonly #counts = new Map<string, number>();

  of(origin: string): number {
    return this.#counts.get(origin) ?? 0;
  }

  add(origin: string): void {
    this.#counts.set(origin, this.of(origin) + 1);
  }

  release(origin: string): void {
    const left = this.of(origin) - 1;
    if (left > 0) this.#counts.set(origin, left);
    else this.#counts.delete(origin);
  }
}
