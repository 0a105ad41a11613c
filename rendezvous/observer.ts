import type { Refusal } from "./hello-verdict.ts";

/** Told how legs fare: never whose. */
export interface LegObserver {
  /** Two legs were joined, `waitedMs` after the hello of the first. */
  joined(waitedMs: number): void;
  refused(status: Refusal): void;
  /** One was cut without a word: it made room for others, stayed too long, or its end has dialled anew. */
  cut(): void;
  /** One was closed unread: there are as many sockets as there may be. */
  dropped(): void;
  /** A session has ended, `ms` after its legs were joined. */
  ended(ms: number): void;
}
