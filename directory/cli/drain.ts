import { SetupError } from "../../keys/errors.ts";
import { quoted } from "../../keys/names.ts";
import { DRAIN_SECONDS_MOST } from "../../protocol/limits.ts";

/**
 * When a directory ends that is asked to. Once it serves, it first goes on for some seconds in which /readyz says that it drains, so
 * that balancers send nobody here any more; the second SIGTERM or Ctrl-C ends it at once.
 */
export class Drain {
  readonly #seconds: number;
  readonly #end: () => void;
  #isServing = false;
  #isDraining = false;

  /** @throws {SetupError} E_USAGE when `seconds` is not a number of seconds. */
  constructor(seconds: string, end: () => void) {
    if (!/^\d{1,5}$/.test(seconds) || Number(seconds) > DRAIN_SECONDS_MOST) {
      throw new SetupError("E_USAGE", `--drain-seconds ${quoted(seconds)} is not a number of seconds.`, {
        next: `It is 0 to ${DRAIN_SECONDS_MOST}.`,
      });
    }
    this.#seconds = Number(seconds);
    this.#end = end;
    for (const name of SIGNALS) process.on(name, this.#asked);
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** From here on there is somebody to be drained. */
  serving(): void {
    this.#isServing = true;
  }

  readonly #asked = (): void => {
    const isOver = this.#isDraining || !this.#isServing || this.#seconds === 0;
    this.#isDraining = true;
    if (!isOver) return void setTimeout(this.#end, this.#seconds * 1000).unref();
    for (const name of SIGNALS) process.off(name, this.#asked); // from here on one more kills
    this.#end();
  };
}

const SIGNALS = ["SIGINT", "SIGTERM"] as const;
