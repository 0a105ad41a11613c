import { MESSAGES_AT_ONCE } from "../protocol/limits.ts";

/**
 * How many messages that people have posted are being worked at. Hellos of devices that come back take their turns behind them: a
 * device can be told to wait, and somebody sits at the other end of a request.
 */
export class Workload {
  #messages = 0;

  get hasMessages(): boolean {
    return this.#messages > 0;
  }

  /** Begins one, and gives what is to be called at its end; undefined when there are MESSAGES_AT_ONCE. */
  begin(): (() => void) | undefined {
    if (this.#messages >= MESSAGES_AT_ONCE) return undefined;
    this.#messages += 1;
    return () => void (this.#messages -= 1);
  }
}
