import { printable } from "../keys/print-error.ts";

/** What people are told, on stderr if not said otherwise, while a session comes about. */
export class Progress {
  readonly #verbose: boolean;
  readonly #write: (text: string) => void;

  constructor(verbose: boolean, write = (text: string): void => void process.stderr.write(text)) {
    this.#verbose = verbose;
    this.#write = write;
  }

  /** Something that everybody should know. */
  note(text: string): void {
    this.#write(`sshnp: ${printable(text)}\n`);
  }

  /** A step, told with -v alone, with the milliseconds since this process began. */
  step(text: string): void {
    if (this.#verbose) this.note(`${performance.now().toFixed(0).padStart(5)} ms  ${text}`);
  }
}

/** Says nothing: for those who tell what was found in their own words. */
export class Silence extends Progress {
  constructor() {
    super(false);
  }

  override note(): void {}
}
