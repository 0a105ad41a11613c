import { POSTGRES_CONNECT_MS } from "../../protocol/limits.ts";
import type { Clock } from "../clock.ts";
import type { Listener, SharedDatabase } from "../postgres/shared.ts";

interface Services {
  readonly shared: Pick<SharedDatabase, "listen">;
  readonly clock: Pick<Clock, "every">;
}

interface Hears extends Omit<Listener, "listening"> {
  /** From the start to now something may not have been heard. */
  missed(): void;
}

/** What hears what other directories say. */
export class Listening {
  readonly #stop = new AbortController();
  #ended: Promise<void> = Promise.resolve();

  /** Returns when it hears, or after POSTGRES_CONNECT_MS: once it hears later than that, it has missed something. */
  async start({ shared, clock }: Services, id: string, hears: Hears): Promise<void> {
    const { signal } = this.#stop;
    await new Promise<void>((resolve) => {
      let isAwaited = true;
      const goOn = (): void => {
        isAwaited = false;
        stopWaiting();
        resolve();
      };
      const stopWaiting = clock.every(POSTGRES_CONNECT_MS, goOn);
      signal.addEventListener("abort", goOn, { once: true });
      const listening = (): void => (isAwaited ? goOn() : hears.missed());
      this.#ended = shared.listen(id, { ...hears, listening }, signal);
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}
