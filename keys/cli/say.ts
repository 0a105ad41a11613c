import { printable } from "../print-error.ts";

/** A line for people, on stderr. */
export function say(line: string): void {
  process.stderr.write(`${printable(line)}\n`);
}
