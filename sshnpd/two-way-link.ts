import { setTimeout as delay } from "node:timers/promises";
import { EventQueue, type Link, type LinkEvent } from "../directory/client.ts";
import { DeniedError } from "../keys/errors.ts";
import {
  BROKER_LASTED_MS,
  DIRECTORY_CONNECT_MS,
  FRESHNESS_MS,
  LEFT_LINK_MS,
  LINK_EVENTS,
  RECONNECT_FIRST_MS,
} from "../protocol/limits.ts";
import type { Distances } from "../protocol/messages/rendezvous-distances.ts";
import type { Answer } from "../protocol/messages/session-request.ts";
import type { LinkParty } from "../protocol/messages/link.ts";
import { retryDelay } from "../protocol/retry-delay.ts";

/** The two ways to the directory. */
export interface Ways {
  /** By the broker, up to the directory's welcome, within `limitMs`. */
  readonly byBroker: (signal: AbortSignal, limitMs: number | undefined) => Promise<Link>;
  readonly byWebSocket: (signal: AbortSignal) => Promise<Link>;
  /** Told of each change of the way, and why. */
  readonly onWay: (way: Way, why: unknown) => void;
  /** A number from 0 to below 1. */
  readonly random: () => number;
}

export type Way = "mqtt" | "websocket";

/**
 * Opens a link that is by the broker while that serves, and by WebSocket while it does not. The way changes without a moment in
 * which there is none: the new one is up before the old one goes, and requests that came by either are answered.
 * @throws what the WebSocket's link throws.
 */
export async function openTwoWayLink(ways: Ways, signal: AbortSignal): Promise<Link> {
  const link = new TwoWayLink(ways, signal);
  await link.open();
  return link;
}

class TwoWayLink implements Link {
  readonly #queue = new EventQueue<LinkEvent>(LINK_EVENTS);
  readonly events: AsyncIterable<LinkEvent> = this.#queue;
  readonly #ways: Ways;
  readonly #over = new AbortController();
  readonly #signal: AbortSignal;
  #current: Link | undefined;
  #watched: readonly LinkParty[] = [];
  #distances: Distances = new Map();
  /** An attempt to come back to the broker that is under way. */
  #attempt: Promise<unknown> | undefined;
  /** Ends that attempt. */
  #givenUp = new AbortController();
  /** How often in a row the broker did not serve for long. */
  #failures = 0;
  #remoteAddress: string | undefined;
  #way: Way | undefined;
  /** Attempts at the broker of which the directory may yet hear, and when the last of them ended (monotonic ms). */
  #doubts = 0;
  #doubtedAt = -Infinity;
  /** A WebSocket that is opened in the place of one. */
  #reopened: Promise<unknown> | undefined;

  constructor(ways: Ways, signal: AbortSignal) {
    this.#ways = ways;
    this.#signal = AbortSignal.any([signal, this.#over.signal]);
    signal.addEventListener("abort", () => this.#end(signal.reason), { once: true });
  }

  /** Where the WebSocket has reached the directory; by a broker nobody knows. */
  get remoteAddress(): string | undefined {
    return this.#current?.remoteAddress ?? this.#remoteAddress;
  }

  async open(): Promise<void> {
    try {
      this.#take("mqtt", await this.#ways.byBroker(this.#signal, undefined), undefined);
    } catch (error) {
      this.#signal.throwIfAborted();
      await this.#fallBack(error);
    }
  }

  answer(answer: Answer): void {
    this.#current?.answer(answer);
  }

  watch(clients: readonly LinkParty[]): void {
    this.#watched = clients;
    this.#current?.watch(clients);
  }

  tellDistances(distances: Distances): void {
    this.#distances = distances;
    this.#current?.tellDistances(distances);
  }

  probe(): void {
    this.#current?.probe();
  }

  close(): void {
    this.#queue.finish();
    this.#over.abort();
    this.#current?.close();
  }

  /** The broker does not serve: by WebSocket, and back when it does. */
  async #fallBack(why: unknown): Promise<void> {
    this.#failures += 1;
    this.#doubt();
    this.#take("websocket", await this.#ways.byWebSocket(this.#signal), why);
    void this.#comeBack();
  }

  async #comeBack(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        await delay(retryDelay(this.#failures, this.#ways.random(), SPANS), undefined, { signal: this.#signal });
        await this.#reopened;
        this.#doubt();
        this.#givenUp = new AbortController();
        const signal = AbortSignal.any([this.#signal, this.#givenUp.signal]);
        const attempt = this.#ways.byBroker(signal, DIRECTORY_CONNECT_MS);
        this.#attempt = attempt;
        const link = await attempt;
        if (this.#signal.aborted) return link.close();
        this.#doubts = Math.max(0, this.#doubts - 1);
        return this.#take("mqtt", link, undefined);
      } catch {
        this.#failures += 1;
        this.#doubtedAt = performance.now();
      } finally {
        this.#attempt = undefined;
      }
    }
  }

  /** The directory may hear of an attempt at the broker of which nothing is heard here. */
  #doubt(): void {
    this.#doubts = Math.min(this.#doubts + 1, OWN_HELLOS);
    this.#doubtedAt = performance.now();
  }

  /**
   * Whether a WebSocket that was replaced may have been by this device itself: a broker may pass on a hello of which nothing was
   * heard as late as it likes, as long as the hello is fresh, and must not end anything by that.
   */
  #isByItself(way: Way): boolean {
    return way === "websocket" && this.#doubts > 0 && performance.now() - this.#doubtedAt < 2 * FRESHNESS_MS;
  }

  async #reopen(): Promise<void> {
    this.#doubts -= 1;
    const opened = this.#ways.byWebSocket(this.#signal);
    this.#reopened = opened.catch(() => {});
    this.#take("websocket", await opened, undefined);
  }

  #take(way: Way, link: Link, why: unknown): void {
    const before = this.#current;
    this.#remoteAddress = link.remoteAddress ?? this.#remoteAddress;
    this.#current = link;
    if (way !== this.#way) this.#ways.onWay(way, why);
    this.#way = way;
    void this.#read(way, link, performance.now());
    if (before === undefined) return;
    if (this.#watched.length > 0) link.watch(this.#watched);
    if (this.#distances.size > 0) link.tellDistances(this.#distances);
    // What the directory has sent before it took the new one may still be on its way.
    void delay(LEFT_LINK_MS, undefined, { signal: this.#signal, ref: false })
      .catch(() => {})
      .then(() => before.close());
  }

  async #read(way: Way, link: Link, since: number): Promise<void> {
    try {
      for await (const event of link.events) if (!this.#queue.push(event)) return this.#end(undefined);
      if (link === this.#current) this.close();
    } catch (error) {
      await this.#lost(way, link, error, performance.now() - since);
    }
  }

  async #lost(way: Way, link: Link, error: unknown, lastedMs: number): Promise<void> {
    // The directory takes the newest: the one before hears that it was replaced, perhaps before the newest hears that it is up.
    const isReplaced = error instanceof DeniedError && error.code === "E_REPLACED";
    if (isReplaced && link === this.#current) await this.#attempted();
    if (this.#signal.aborted) return;
    if (link !== this.#current) return link.close();
    const isOwn = isReplaced && this.#isByItself(way);
    if (!isOwn && (way === "websocket" || isReplaced)) return this.#end(error);
    if (lastedMs >= BROKER_LASTED_MS) this.#failures = 0;
    try {
      await (isOwn ? this.#reopen() : this.#fallBack(error));
    } catch (cause) {
      this.#end(cause);
    }
  }

  /**
   * Waits until an attempt at the broker has ended, which is soon: a welcome comes about when the WebSocket is told that it was
   * replaced, or is withheld, and until there is a link again nobody reaches this device.
   */
  async #attempted(): Promise<void> {
    const attempt = this.#attempt?.catch(() => {});
    const over = new AbortController();
    const late = delay(WELCOME_MS, undefined, { signal: AbortSignal.any([this.#signal, over.signal]), ref: false });
    await Promise.race([attempt, late.catch(() => {})]);
    over.abort();
    if (this.#attempt !== undefined) this.#givenUp.abort();
    await attempt;
  }

  #end(error: unknown): void {
    this.#queue.fail(error);
    this.#over.abort();
    this.#current?.close();
  }
}

/** Hellos by the broker that may come late, at most: in so short a time no more are said. */
const OWN_HELLOS = 3;

const WELCOME_MS = 1_000; // below what a client waits for the device's answer

const SPANS = { first: RECONNECT_FIRST_MS, limit: BROKER_LASTED_MS };
