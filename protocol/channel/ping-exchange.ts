import { PeerError } from "../../keys/errors.ts";
import { PING_GAP_MS, PINGS_PER_SECOND } from "../limits.ts";

/** The PINGs of one path: ours, of which one at most is unanswered, and the peer's, of which we answer only so many. */
export class PingExchange {
  #last = 0n;
  #sentAt: number | undefined;
  #answered = true;
  #allowance = PINGS_PER_SECOND;
  #allowanceAt: number | undefined;

  /** When the PING was sent that has no answer yet, in the caller's milliseconds. */
  get unansweredSince(): number | undefined {
    return this.#answered ? undefined : this.#sentAt;
  }

  /** The value of the PING to send now; undefined while one is unanswered or the last was less than PING_GAP_MS ago. */
  next(now: number): bigint | undefined {
    if (!this.#answered || (this.#sentAt !== undefined && now - this.#sentAt < PING_GAP_MS)) return undefined;
    this.#last += 1n;
    this.#sentAt = now;
    this.#answered = false;
    return this.#last;
  }

  /** Milliseconds since our PING. @throws {PeerError} E_PROTOCOL when `value` answers no PING of ours. */
  receivePong(value: bigint, now: number): number {
    const sentAt = this.unansweredSince;
    if (sentAt === undefined || value !== this.#last) throw new PeerError("E_PROTOCOL", "PONG without a PING");
    this.#answered = true;
    return now - sentAt;
  }

  /** @throws {PeerError} E_PROTOCOL when the peer sends more than PINGS_PER_SECOND, with as many at once at most. */
  receivePing(now: number): void {
    const elapsed = Math.max(0, now - (this.#allowanceAt ?? now));
    this.#allowanceAt = now;
    this.#allowance = Math.min(PINGS_PER_SECOND, this.#allowance + (elapsed * PINGS_PER_SECOND) / 1000);
    if (this.#allowance < 1) throw new PeerError("E_PROTOCOL", "too many PINGs");
    this.#allowance -= 1;
  }
}
