import { BUILTIN_ARRIVING, BUILTIN_ARRIVING_PER_CLIENT } from "../../protocol/limits.ts";

interface Arrival {
  readonly client: string;
  readonly cut: () => void;
}

/**
 * Connections that have not logged in yet. When there are too many of them, the client that has most of them loses its oldest,
 * so that nobody who comes often shuts others out.
 */
export class Arrivals {
  /** The oldest first. */
  readonly #arrivals = new Set<Arrival>();

  /**
   * Counts one more; `cut` ends it when it has to make room. Returns what is to be called when it has logged in or is over,
   * or undefined when its client has as many as it may.
   */
  enter(client: string, cut: () => void): (() => void) | undefined {
    const counts = new Map<string, number>();
    for (const arrival of this.#arrivals) counts.set(arrival.client, (counts.get(arrival.client) ?? 0) + 1);
    if ((counts.get(client) ?? 0) >= BUILTIN_ARRIVING_PER_CLIENT) return undefined;
    if (this.#arrivals.size >= BUILTIN_ARRIVING) this.#makeRoom(counts);
    const arrival = { client, cut };
    this.#arrivals.add(arrival);
    return () => void this.#arrivals.delete(arrival);
  }

  #makeRoom(counts: ReadonlyMap<string, number>): void {
    const most = Math.max(...counts.values());
    for (const arrival of this.#arrivals) {
      if (counts.get(arrival.client) !== most) continue;
      this.#arrivals.delete(arrival);
      arrival.cut();
      return;
    }
  }
}
