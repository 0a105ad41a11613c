import { MESSAGES_AT_ONCE } from "../protocol/limits.ts";

/**
 * How many messages that people have posted are being worked at, up to where the directory waits for the reader of an answer: who
 * reads slowly holds up nobody. Hellos of devices that come back take their turns behind them: a device can be told to wait, and
 * somebody sits at the other end of a request.
 */
export class Workload {
  #messages = 0;

  get messages(): number {
    return this.#messages;
  }

  get hasMessages(): boolean {
    return this.#messages > 0;
  }

  /** Begins one, and gives what is to be called at its end, once or more often; undefined when there are MESSAGES_AT_ONCE. */
  begin(): (() => void) | undefined {
    if (this.#messages >= MESSAGES_AT_ONCE) return undefined;
    this.#messages += 1;
    let isOver = false;
    return () => {
      if (!isOver) this.#messages -= 1;
      isOver = true;
    };
  }
}
