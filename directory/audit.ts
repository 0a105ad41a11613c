import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { SetupError } from "../keys/errors.ts";
import { shellWord } from "../keys/shell-word.ts";

/** What happened, in words of our own; names are by their grammar, everything else of a peer's stands under `peer`. */
export type AuditEntry = { readonly event: string } & Readonly<Record<string, unknown>>;

/**
 * What the directory did and for whom: one JSON object a line in `audit.ndjson` of the data folder, appended, never
 * rewritten. It holds names and times, so it is as private as the store. A file that was moved away is begun anew.
 */
export class Audit {
  readonly #path: string;
  readonly #onError: (error: unknown) => void;
  #file: FileHandle;
  #writing: Promise<void> = Promise.resolve();
  #pending: string[] = [];
  /** Told of each entry as it is written. */
  onEntry: ((entry: AuditEntry) => void) | undefined;
  /** When the file was last looked for, monotonic ms. */
  #looked = 0;

  private constructor(path: string, file: FileHandle, onError: (error: unknown) => void) {
    this.#path = path;
    this.#file = file;
    this.#onError = onError;
  }

  /** `onError` hears of lines that could not be written. @throws {SetupError} E_STORAGE. */
  static async open(folder: PrivateFolder, onError: (error: unknown) => void): Promise<Audit> {
    const path = folder.pathOf(FILE);
    try {
      return new Audit(path, await openFile(path), onError);
    } catch (cause) {
      throw new SetupError("E_STORAGE", `Cannot write ${shellWord(path)}.`, {
        next: "Check the folder's owner and the free space.",
        cause,
      });
    }
  }

  /** Appends one line, with the time first. Lines of one moment are written together. */
  write(entry: AuditEntry): void {
    this.#pending.push(`${JSON.stringify({ time: new Date().toISOString(), ...entry })}\n`);
    this.onEntry?.(entry);
    if (this.#pending.length === 1) this.#writing = this.#writing.then(() => this.#flush());
  }

  async close(): Promise<void> {
    await this.#writing;
    await this.#file.close();
  }

  async #flush(): Promise<void> {
    const lines = this.#pending.join("");
    this.#pending = [];
    try {
      await this.#followRotation();
      await this.#file.appendFile(lines);
    } catch (error) {
      this.#onError(error);
    }
  }

  /** A file that was moved or removed, as log rotation does, is made anew within a second. */
  async #followRotation(): Promise<void> {
    if (performance.now() - this.#looked < 1000) return;
    this.#looked = performance.now();
    const there = await stat(this.#path).catch(() => undefined);
    if (there?.ino === (await this.#file.stat()).ino) return;
    await this.#file.close();
    this.#file = await openFile(this.#path);
  }
}

const FILE = "audit.ndjson";

async function openFile(path: string): Promise<FileHandle> {
  return await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
}
