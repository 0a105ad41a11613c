import { renameSync, rmSync, writeFileSync } from "node:fs";
import { SetupError } from "../keys/errors.ts";
import { shellWord } from "../keys/shell-word.ts";

/**
 * One line in a file for health checks: there while the daemon runs, always whole, and nothing that the daemon itself
 * reads. After a kill -9 it stays as it was.
 */
export class StatusFile {
  readonly #path: string;

  /** Writes the first line. @throws {SetupError} E_STORAGE when it cannot be written. */
  constructor(path: string, line: string) {
    this.#path = path;
    try {
      this.write(line);
    } catch (cause) {
      const reason = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
      throw new SetupError("E_STORAGE", `Cannot write the status file ${shellWord(path)}${reason}.`, {
        next: "Give a file in a folder that this user may write to: sshnpd --status-file FILE",
        cause,
      });
    }
  }

  /**
   * Puts `line` in place of the one before, by a file beside it that is made anew: what somebody else has put there, a link to
   * a file of this user's say, is not written to. @throws {Error} the system's when it cannot be written.
   */
  write(line: string): void {
    const temporary = `${this.#path}.new`;
    rmSync(temporary, { force: true }); // left behind by one that was killed
    writeFileSync(temporary, `${line}\n`, { flag: "wx" });
    renameSync(temporary, this.#path);
  }

  remove(): void {
    rmSync(this.#path, { force: true });
  }
}
