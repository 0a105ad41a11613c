import { assert, PeerError } from "../../keys/errors.ts";
import { STREAMS } from "../limits.ts";

/**
 * What the peer may still send on one stream. All numbers are bytes.
 *
 * Credit is given back in large steps: as soon as half of the window or more is consumed and not yet granted again.
 */
export class ReceiveWindow {
  #size = 0;
  #allowance: number;
  #unconsumed = 0;

  /** @param allowance what the peer may send before a window is granted. */
  constructor(allowance: number) {
    this.#allowance = allowance;
  }

  get size(): number {
    return this.#size;
  }

  /** Bytes received and not yet consumed. */
  get unconsumed(): number {
    return this.#unconsumed;
  }

  /** Grants the window, once, on top of what the peer may send already. */
  grant(size: number): void {
    assert(this.#size === 0, "a window is granted once");
    this.#size = size;
    this.#allowance += size;
  }

  /** @throws {PeerError} E_PROTOCOL when `length` is more than the peer may send. */
  receive(length: number): void {
    if (length > this.#allowance) throw new PeerError("E_PROTOCOL", "data is beyond its credit");
    this.#allowance -= length;
    this.#unconsumed += length;
  }

  /** Counts received bytes that need no more room here. */
  consume(length: number): void {
    assert(length <= this.#unconsumed, "only what was received is consumed");
    this.#unconsumed -= length;
  }

  /** The credit to send to the peer now; 0 while it is less than half of the window. Counts as granted. */
  takeCredit(): number {
    const credit = this.#size - this.#allowance - this.#unconsumed;
    if (credit <= 0 || 2 * credit < this.#size) return 0;
    this.#allowance += credit;
    return credit;
  }
}

/**
 * Shares the memory of a session among the windows of its streams, whose sum never exceeds `sessionWindow`.
 *
 * Every stream of a full house gets 1/256 of it at least. Of the rest (three quarters), each new stream gets a third
 * of what is left: so a lone stream has the largest window, and the fortieth still flows.
 */
export class WindowBudget {
  readonly #largest: number;
  readonly #reserve: number;
  #pool: number;

  constructor(limits: { readonly streamWindow: number; readonly sessionWindow: number }) {
    this.#largest = limits.streamWindow;
    this.#reserve = Math.min(limits.streamWindow, Math.floor(limits.sessionWindow / 256));
    assert(this.#reserve > 0, "the windows of a session have room");
    this.#pool = limits.sessionWindow - STREAMS * this.#reserve;
  }

  /** The window of one more stream, in bytes. */
  take(): number {
    const extra = Math.min(this.#largest - this.#reserve, Math.floor(this.#pool / 3));
    this.#pool -= extra;
    return this.#reserve + extra;
  }

  /** Takes a window back when its stream is gone. */
  giveBack(window: number): void {
    this.#pool += window - this.#reserve;
  }
}
