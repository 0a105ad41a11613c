import { SshnpError } from "../errors.ts";
import { printable } from "../print-error.ts";

/** A line for people, on stderr. */
export function say(line: string): void {
  process.stderr.write(`${printable(line)}\n`);
}

/** What was seen of a directory's log is not there at the next command. */
export function tellLogNotStored(error: unknown): void {
  say(
    `What was seen of the directory's log is not stored: ${error instanceof SshnpError ? error.message : String(error)}`,
  );
}
