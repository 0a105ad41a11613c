import {
  WRONG_SECRETS_BURST,
  WRONG_SECRETS_LOOPBACK_BURST,
  WRONG_SECRETS_LOOPBACK_PER_SECOND,
  WRONG_SECRETS_PER_SECOND,
} from "../protocol/limits.ts";
import { AddressLimiter, type TokenBucket } from "./rate-limit.ts";
import type { ResponseStream } from "./response-stream.ts";

/** How often secrets may be tried from an address. Wrong tries never count against a name. */
export class SecretTries {
  readonly #limiter = new AddressLimiter(TRIES, LOOPBACK_TRIES);

  /**
   * Takes a try at a secret from an address, which counts unless it is given back because the secret turns out to be right;
   * undefined, and the sender is told to wait, when there is none left. `now` is monotonic.
   */
  take(address: string, stream: ResponseStream, now: number): TokenBucket | undefined {
    const bucket = this.#limiter.bucket(address, now);
    if (bucket.take(now)) return bucket;
    stream.end({ type: "refused", code: "E_RATE", detail: 1000 / WRONG_SECRETS_PER_SECOND });
    return undefined;
  }

  /** Forgets the addresses that have all their tries again. */
  sweep(now: number): void {
    this.#limiter.sweep(now);
  }
}

const TRIES = { perSecond: WRONG_SECRETS_PER_SECOND, burst: WRONG_SECRETS_BURST };
/** Everybody comes from this machine where a reverse proxy stands in front. */
const LOOPBACK_TRIES = { perSecond: WRONG_SECRETS_LOOPBACK_PER_SECOND, burst: WRONG_SECRETS_LOOPBACK_BURST };
