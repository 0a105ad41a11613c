import { equalBytes, hex } from "../keys/bytes.ts";
import type { RandomBytes } from "../keys/cipher-suite.ts";
import {
  DATABASE_CLOCK_MS,
  FRESHNESS_MS,
  MESSAGE_ID_MS,
  MESSAGE_IDS,
  NONCE_MS,
  NONCE_PERIOD_MS,
} from "../protocol/limits.ts";
import type { Freshness as MessageFreshness } from "../protocol/sealed-message.ts";
import type { Store } from "./store.ts";

export type FreshnessVerdict = "fresh" | "clock" | "replayed" | "full";

/**
 * Judges that a sealed message is new: it says a time close to now, or a nonce that was handed out, and an id that did
 * not come before. Ids are in the store before the message is acted on, so that a replay after a restart fails too.
 *
 * One nonce serves everybody for some seconds: what matters is that nobody knew it before, and so a flood of requests
 * fills no memory with nonces.
 */
export class Freshness {
  readonly #store: Store;
  readonly #random: RandomBytes;
  readonly #onError: (error: unknown) => void;
  /** Hex to the time (ms) until which it is remembered; the oldest first. */
  readonly #ids: Map<string, number>;
  readonly #nonces: Map<string, number>;
  #current: { readonly nonce: Uint8Array; readonly until: number } | undefined;

  private constructor(
    options: { readonly store: Store; readonly random: RandomBytes; readonly onError: (error: unknown) => void },
    ids: Map<string, number>,
    nonces: Map<string, number>,
  ) {
    this.#store = options.store;
    this.#random = options.random;
    this.#onError = options.onError;
    this.#ids = ids;
    this.#nonces = nonces;
  }

  /** Goes on from what the store remembers, which other processes may go on from as well; `onError` hears of what it could not take. @throws {UnavailableError} E_STORAGE. */
  static async load(options: {
    readonly store: Store;
    readonly random: RandomBytes;
    readonly onError: (error: unknown) => void;
  }): Promise<Freshness> {
    const { ids, nonces } = await options.store.remembered();
    const oldestFirst = ids.sort(([, a], [, b]) => a - b);
    return new Freshness(options, new Map(oldestFirst), new Map(nonces));
  }

  /** The nonce to hand out at `now` (ms), 16 bytes. */
  nonce(now: number): Uint8Array {
    if (this.#current === undefined || now >= this.#current.until) {
      const nonce = this.#random(16);
      this.#current = { nonce, until: now + NONCE_PERIOD_MS };
      const until = now + NONCE_MS;
      this.#nonces.set(hex(nonce), until);
      // When the write fails, a restart makes this nonce unknown: its user is given another one.
      this.#store.putNonce(hex(nonce), until).catch(this.#onError);
    }
    return this.#current.nonce;
  }

  /** Whether a nonce was handed out by this directory, not long ago. @throws {UnavailableError} E_STORAGE. */
  async isNonce(nonce: Uint8Array, now: number): Promise<boolean> {
    const known = this.#nonces.get(hex(nonce));
    if (known !== undefined || !this.#store.database.isShared) return (known ?? 0) > now;
    return ((await this.#store.nonce(hex(nonce))) ?? 0) > now;
  }

  /** Whether a message says a time close to `now`, or a nonce that was handed out; nothing about replays. */
  async isRecent(freshness: MessageFreshness, now: number, ownNonce?: Uint8Array): Promise<boolean> {
    if (freshness.kind === "time") return Math.abs(freshness.time - now) <= FRESHNESS_MS;
    if (ownNonce !== undefined) return equalBytes(freshness.nonce, ownNonce);
    return await this.isNonce(freshness.nonce, now);
  }

  /**
   * Judges a message and remembers its id. `ownNonce`: one that the caller handed out for this message alone.
   * On a full disk the memory of the one process that has the store has to do; another one could not start there.
   * @throws {UnavailableError} E_STORAGE when others share the store.
   */
  async judge(
    message: { readonly freshness: MessageFreshness; readonly id: Uint8Array },
    now: number,
    ownNonce?: Uint8Array,
  ): Promise<FreshnessVerdict> {
    if (!(await this.isRecent(message.freshness, now, ownNonce))) return "clock";
    const id = hex(message.id);
    if ((this.#ids.get(id) ?? 0) >= now) return "replayed";
    if (this.#ids.size >= MESSAGE_IDS) return "full";
    const until = now + MESSAGE_ID_MS + (this.#store.database.isShared ? DATABASE_CLOCK_MS : 0);
    this.#ids.delete(id);
    this.#ids.set(id, until);
    try {
      return (await this.#store.claimId(id, until, now)) ? "fresh" : "replayed";
    } catch (error) {
      if (this.#store.database.isShared) throw error;
      this.#onError(error);
      return "fresh";
    }
  }

  /** Forgets what is past its time. @throws {UnavailableError} E_STORAGE. */
  async sweep(now: number): Promise<void> {
    await this.#store.forget({ ids: takePast(this.#ids, now), nonces: takePast(this.#nonces, now) }, now);
  }
}

/** Takes out those whose time is over; the oldest come first. */
function takePast(known: Map<string, number>, now: number): string[] {
  const past: string[] = [];
  for (const [value, until] of known) {
    if (until >= now) break;
    past.push(value);
  }
  for (const value of past) known.delete(value);
  return past;
}
