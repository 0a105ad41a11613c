import { pino } from "pino";
import { LOG_HELD_CHARACTERS, LOG_MOMENT_MS } from "../../protocol/limits.ts";

/** Takes whole lines. */
interface Lines {
  write(lines: string): unknown;
}

/**
 * Where a log goes on its way to `destination`: lines that come within LOG_MOMENT_MS after a write are one write, as thousands of devices
 * that come back have a line each. A warning or worse goes out at once, with what was ahead of it; a process that is killed loses the
 * rest of a moment, and one that ends by itself nothing.
 */
export class LogLines {
  /** By which pino says the level of what it is about to write. */
  readonly [pino.symbols.needsMetadataGsym] = true;
  lastLevel = 0;
  readonly #destination: Lines;
  #held = "";
  #written = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  constructor(destination: Lines) {
    this.#destination = destination;
    process.once("exit", () => this.#write());
  }

  write(line: string): void {
    this.#held += line;
    const moment = this.#written + LOG_MOMENT_MS - performance.now();
    if (moment <= 0 || this.lastLevel >= WARNING || this.#held.length >= LOG_HELD_CHARACTERS) this.#write();
    else this.#timer ??= setTimeout(() => this.#write(), moment);
  }

  #write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#held === "") return;
    const lines = this.#held;
    this.#held = "";
    this.#written = performance.now();
    this.#destination.write(lines);
  }
}

const WARNING = pino.levels.values["warn"] ?? 0;
