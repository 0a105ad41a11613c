/** How many there are of each origin. Those without one are not counted: their address tells nothing. */
export class OriginCounts {
  readonly #counts = new Map<string, number>();

  of(origin: string | undefined): number {
    return origin === undefined ? 0 : (this.#counts.get(origin) ?? 0);
  }

  add(origin: string | undefined): void {
    if (origin !== undefined) this.#counts.set(origin, this.of(origin) + 1);
  }

  /** One less. */
  release(origin: string | undefined): void {
    if (origin === undefined) return;
    const left = this.of(origin) - 1;
    if (left > 0) this.#counts.set(origin, left);
    else this.#counts.delete(origin);
  }
}
