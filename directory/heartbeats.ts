/** What is asked for signs of life. */
export interface Beating {
  readonly isUp: boolean;
  ping(): void;
  /** Ends it if nothing came since the last ping. */
  endIfSilent(): void;
}

/** How often links are pinged, and after how long without a sign of life one counts as dead; whole seconds in ms. */
export interface Rhythm {
  readonly pingMs: number;
  readonly silenceMs: number;
}

/** The heartbeats of any number of links: one wheel, with a slot for each second of the time between two pings. */
export class Heartbeats<Link extends Beating> implements Iterable<Link> {
  /** All links, by the second in which they are pinged. */
  readonly #wheel: readonly Set<Link>[];
  readonly #slots = new WeakMap<Link, Set<Link>>();
  /** Ticks between a ping and the look for its answer. */
  readonly #answerTicks: number;
  #ticks = 0;

  constructor({ pingMs, silenceMs }: Rhythm) {
    this.#wheel = Array.from({ length: pingMs / 1000 }, () => new Set<Link>());
    this.#answerTicks = (silenceMs - pingMs) / 1000;
  }

  add(link: Link): void {
    const slot = this.#slot(this.#ticks).add(link);
    this.#slots.set(link, slot);
  }

  remove(link: Link): void {
    this.#slots.get(link)?.delete(link);
  }

  /** To be called once a second. */
  tick(): void {
    this.#ticks += 1;
    for (const link of this.#slot(this.#ticks - this.#answerTicks)) link.endIfSilent();
    for (const link of this.#slot(this.#ticks)) if (link.isUp) link.ping();
  }

  *[Symbol.iterator](): Iterator<Link> {
    for (const slot of this.#wheel) yield* slot;
  }

  #slot(tick: number): Set<Link> {
    const { length } = this.#wheel;
    return this.#wheel[(tick + length) % length] ?? new Set();
  }
}
