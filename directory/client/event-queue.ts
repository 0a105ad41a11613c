import { assert } from "../../keys/errors.ts";

/** What happens, handed to one reader in order. At most `limit` events wait for it; one more is the queue's end. */
export class EventQueue<Event> implements AsyncIterable<Event> {
  readonly #waiting: Event[] = [];
  readonly #limit: number;
  #end: { readonly error: unknown } | "finished" | undefined;
  #wake: (() => void) | undefined;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** False when the queue is full or has ended, and the event is lost. */
  push(event: Event): boolean {
    if (this.#end !== undefined || this.#waiting.length >= this.#limit) return false;
    this.#waiting.push(event);
    this.#wake?.();
    return true;
  }

  /** Ends the iteration after what waits; later ends change nothing. */
  finish(): void {
    this.#end ??= "finished";
    this.#wake?.();
  }

  /** As {@link finish}, but the iteration then throws `error`. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Event, void, void> {
    for (;;) {
      const event = this.#waiting.shift();
      if (event !== undefined) {
        yield event;
      } else if (this.#end === undefined) {
        assert(this.#wake === undefined, "a queue has one reader");
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        this.#wake = undefined;
      } else {
        if (this.#end === "finished") return;
        throw this.#end.error;
      }
    }
  }
}
