import type { Name } from "../keys/names.ts";
import {
  FULL_SWEEP_MS,
  RATE_ADDRESSES,
  RATE_BURST,
  RATE_LOOPBACK_BURST,
  RATE_LOOPBACK_PER_SECOND,
  RATE_PER_SECOND,
} from "../protocol/limits.ts";
import { LOOPBACK, networkOf } from "../protocol/network-of.ts";
import { type Rate, TokenBucket } from "../protocol/token-bucket.ts";

export { type Rate, TokenBucket } from "../protocol/token-bucket.ts";

/** A bucket for each name of the directory's, or of its rendezvous, so that their number is bounded. */
export class NameLimiter<Limited extends string = Name> {
  readonly #rate: Rate;
  readonly #buckets = new Map<Limited, TokenBucket>();

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  /** How many have a bucket. */
  get size(): number {
    return this.#buckets.size;
  }

  take(name: Limited, now: number, count = 1): boolean {
    return this.#bucket(name, now).take(now, count);
  }

  /** Whether nothing is left for a name that has taken some; one that has not is not noted for the question. */
  isSpent(name: Limited, now: number): boolean {
    return (this.#buckets.get(name)?.wait(now, 1) ?? 0) > 0;
  }

  /** In how many ms so many could be taken; 0 for now. */
  wait(name: Limited, now: number, count: number): number {
    return this.#bucket(name, now).wait(now, count);
  }

  /** Forgets the buckets that are full again. */
  sweep(now: number): void {
    for (const [name, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(name);
  }

  #bucket(name: Limited, now: number): TokenBucket {
    const bucket = this.#buckets.get(name) ?? new TokenBucket(this.#rate, now);
    this.#buckets.set(name, bucket);
    return bucket;
  }
}

/** A bucket for each address. Their number is bounded: addresses beyond it share one bucket until some are forgotten. */
export class AddressLimiter {
  readonly #rate: Rate;
  readonly #loopback: Rate;
  readonly #buckets = new Map<string, TokenBucket>();
  #shared: TokenBucket | undefined;
  #swept = -Infinity;

  constructor(rate: Rate = REQUESTS, loopback: Rate = LOOPBACK_REQUESTS) {
    this.#rate = rate;
    this.#loopback = loopback;
  }

  bucket(address: string, now: number): TokenBucket {
    const network = networkOf(address);
    const known = this.#buckets.get(network);
    if (known !== undefined) return known;
    if (this.#buckets.size >= RATE_ADDRESSES && now - this.#swept >= FULL_SWEEP_MS) this.sweep(now);
    if (this.#buckets.size >= RATE_ADDRESSES) return (this.#shared ??= new TokenBucket(this.#rate, now));
    const bucket = new TokenBucket(network === LOOPBACK ? this.#loopback : this.#rate, now);
    this.#buckets.set(network, bucket);
    return bucket;
  }

  /** Forgets the buckets that are full again. */
  sweep(now: number): void {
    this.#swept = now;
    for (const [network, bucket] of this.#buckets) if (bucket.isFull(now)) this.#buckets.delete(network);
  }
}

const REQUESTS: Rate = { perSecond: RATE_PER_SECOND, burst: RATE_BURST };
const LOOPBACK_REQUESTS: Rate = { perSecond: RATE_LOOPBACK_PER_SECOND, burst: RATE_LOOPBACK_BURST };
