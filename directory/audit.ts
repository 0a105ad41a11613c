import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { CipherSuite, RandomBytes } from "../keys/cipher-suite.ts";
import { hex } from "../keys/bytes.ts";
import { SetupError } from "../keys/errors.ts";
import type { PrivateFolder } from "../keys/private-folder.ts";
import { shellWord } from "../keys/shell-word.ts";
import { AUDIT_AGAIN_MS, AUDIT_BATCH, AUDIT_MOMENT_MS, AUDIT_WAITING } from "../protocol/limits.ts";
import { type AuditEntry, type AuditHead, BEFORE_FIRST, nextAuditLine } from "./audit/line.ts";
import { HeadFile, readTail } from "./audit/tail.ts";

export type { AuditEntry } from "./audit/line.ts";

export interface AuditOptions {
  readonly suite: Pick<CipherSuite, "sha256">;
  readonly random: RandomBytes;
  readonly folder: PrivateFolder;
  /** Leaves that the log has. */
  readonly logSize: number;
  /** What the log holds of the audit of a directory. */
  readonly anchored: (directory: string) => Promise<Omit<AuditHead, "directory"> | undefined>;
  /** Hears of lines that could not be written. */
  readonly onError: (error: unknown) => void;
}

interface Waiting {
  readonly time: number;
  readonly entry: AuditEntry;
}

/** The file of the data folder. */
export const AUDIT_FILE = "audit.ndjson";

/**
 * What the directory did and for whom: one JSON object a line in `audit.ndjson` of the data folder, appended, never
 * rewritten, each with the hash of the one before (audit/line.ts). It holds names and times, so it is as private as the store. A
 * file that was moved away is begun anew, and its first line follows the last one of the other.
 */
export class Audit {
  readonly #options: AuditOptions;
  readonly #path: string;
  readonly #headFile: HeadFile;
  #file: FileHandle;
  /** Where the audit on disk stands. */
  #head: AuditHead;
  /** Written ahead of the next line: what ends a line that was not ended. */
  #ahead: string;
  /** What is not on disk yet; the first of them may be about to be written. */
  #waiting: Waiting[] = [];
  /** How long they are together, in usual lines. */
  #held = 0;
  /** How many entries there were, those that are lost not counted. */
  #told = 0;
  #lost = 0;
  #lostInAll = 0;
  /** Whether the head's file lacks what {@link Audit.#head} says. */
  #isHeadOwed = false;
  #writing: Promise<void> | undefined;
  /** Whether the last write has. */
  #hasFailed = false;
  /** When that was, monotonic ms. */
  #tried = 0;
  /** Length of the file in bytes, as far as it is this process's doing. */
  #size: number;
  /** Whether a write has begun and did not end well, so that there may be more in the file. */
  #isDoubtful = false;
  /** When the last write has begun, monotonic ms. */
  #flushed = Number.NEGATIVE_INFINITY;
  /** When the file was last looked for, monotonic ms. */
  #looked = 0;
  /** Told of each entry as it is written. */
  onEntry: ((entry: AuditEntry) => void) | undefined;

  private constructor(
    options: AuditOptions,
    at: {
      readonly file: FileHandle;
      readonly headFile: HeadFile;
      readonly head: AuditHead;
      readonly ahead: string;
      readonly size: number;
    },
  ) {
    this.#options = options;
    this.#path = options.folder.pathOf(AUDIT_FILE);
    this.#file = at.file;
    this.#headFile = at.headFile;
    this.#head = at.head;
    this.#ahead = at.ahead;
    this.#size = at.size;
  }

  /** Goes on where the audit of this folder ended, however its process did. @throws {SetupError} E_STORAGE. */
  static async open(options: AuditOptions): Promise<Audit> {
    const path = options.folder.pathOf(AUDIT_FILE);
    try {
      const file = await openFile(path);
      const [tail, noted] = await Promise.all([readTail(options.suite, path), HeadFile.read(options.folder)]);
      const fresh = { directory: hex(options.random(8)), n: 0, hash: BEFORE_FIRST };
      const onDisk = tail.head ?? noted ?? fresh;
      // Lines that the log knows and the disk does not are gone; those to come follow them all the same.
      const anchored = await options.anchored(onDisk.directory);
      const isCut = anchored !== undefined && anchored.n > onDisk.n;
      const head = isCut ? { directory: onDisk.directory, n: anchored.n, hash: anchored.hash } : onDisk;
      const ahead = tail.lacksNewline || (tail.torn.length > 0 && tail.torn.at(-1) !== 0x0a) ? "\n" : "";
      const { size } = await file.stat();
      const audit = new Audit(options, {
        file,
        headFile: await HeadFile.open(options.folder, head),
        head,
        ahead,
        size,
      });
      if (head.n === 0) audit.write({ event: "begun", log: options.logSize });
      else if (tail.torn.length > 0) {
        audit.write({ event: "torn", bytes: tail.torn.length, hash: hex(options.suite.sha256(tail.torn)) });
      }
      if (isCut) audit.write({ event: "missing", from: onDisk.n + 1, to: anchored.n });
      return audit;
    } catch (cause) {
      throw new SetupError("E_STORAGE", `Cannot write ${shellWord(path)}.`, {
        next: "Check the folder's owner and the free space.",
        cause,
      });
    }
  }

  /** 16 hex digits. */
  get directory(): string {
    return this.#head.directory;
  }

  /** Whether the disk takes none and as many lines are held as may be: what cannot be done without its line is to be refused. */
  get isFull(): boolean {
    return this.#held >= AUDIT_WAITING;
  }

  /** Whether the last try to write failed. */
  get isFailing(): boolean {
    return this.#hasFailed;
  }

  /** Lines that were lost since the start, because as many as may be were held. */
  get lost(): number {
    return this.#lostInAll;
  }

  /** Tries again what the disk has not taken, if the last try is AUDIT_AGAIN_MS ago: no line that comes may do so. */
  async tryAgain(): Promise<void> {
    if (!this.#hasFailed || performance.now() - this.#tried < AUDIT_AGAIN_MS) return;
    this.#start();
    await this.#writing;
  }

  /**
   * Appends one line. Lines of one moment are written together; while the disk takes none they wait, and that is tried again
   * every AUDIT_AGAIN_MS at most. Those of statements wait however many there are: none is made while it {@link isFull}.
   */
  write(entry: AuditEntry): void {
    this.onEntry?.(entry);
    if (this.isFull && entry["statements"] === undefined) {
      this.#lost += 1;
      this.#lostInAll += 1;
    } else {
      this.#told += 1;
      this.#held += lengthOf(entry);
      this.#waiting.push({ time: Date.now(), entry });
    }
    if (!this.#hasFailed || performance.now() - this.#tried >= AUDIT_AGAIN_MS) this.#start();
  }

  /** What is on disk for certain, with all that was written up to now. @throws the system's error when it cannot be. */
  async sync(): Promise<AuditHead> {
    await this.#written(this.#told);
    if (this.#hasFailed) throw new Error("the audit could not be written");
    const head = this.#head;
    await this.#file.datasync();
    return head;
  }

  /** What cannot be written is lost. */
  async close(): Promise<void> {
    await this.#writing;
    await this.#written(this.#told);
    await this.#file.close();
    await this.#headFile.close();
  }

  /** Waits until so many entries of all that came are on disk, or the disk takes none. */
  async #written(told: number): Promise<void> {
    await this.#writing; // which may fail, and be tried once more
    do {
      this.#start();
      await this.#writing;
    } while (this.#told - this.#waiting.length < told && !this.#hasFailed);
  }

  #start(): void {
    if (this.#waiting.length === 0 && !this.#isHeadOwed) return;
    this.#writing ??= this.#flush();
  }

  async #flush(): Promise<void> {
    const moment = this.#flushed + AUDIT_MOMENT_MS - performance.now();
    await (moment > 0 ? delay(moment) : Promise.resolve());
    this.#flushed = performance.now();
    try {
      if (this.#waiting.length > 0) await this.#append(this.#waiting.slice(0, AUDIT_BATCH));
      if (this.#isHeadOwed) await this.#headFile.write(this.#head);
      this.#isHeadOwed = false;
      this.#hasFailed = false;
    } catch (error) {
      this.#hasFailed = true;
      this.#tried = performance.now();
      this.#options.onError(error);
    }
    this.#writing = undefined;
    if (!this.#hasFailed) this.#start();
  }

  /** The chain goes on with what is on disk alone. */
  async #append(entries: readonly Waiting[]): Promise<void> {
    await this.#followRotation();
    if (this.#isDoubtful) await this.#cut();
    this.#isDoubtful = true;
    const lost = this.#lost;
    const { lines, head } = this.#lines(entries, lost);
    const bytes = Buffer.from(this.#ahead + lines, "latin1");
    await this.#file.appendFile(bytes);
    this.#isDoubtful = false;
    this.#size += bytes.length;
    this.#ahead = "";
    this.#waiting.splice(0, entries.length);
    for (const { entry } of entries) this.#held -= lengthOf(entry);
    this.#lost -= lost;
    this.#head = head;
    this.#isHeadOwed = true;
  }

  /** Takes away what a write that failed has left; a file that somebody else has made shorter stays so. */
  async #cut(): Promise<void> {
    const { size } = await this.#file.stat();
    this.#size = Math.min(this.#size, size);
    await this.#file.truncate(this.#size);
  }

  #lines(entries: readonly Waiting[], lost: number): { readonly lines: string; readonly head: AuditHead } {
    let head = this.#head;
    let lines = "";
    const add = (entry: AuditEntry, time: number): void => {
      const next = nextAuditLine(this.#options.suite, head, entry, time);
      lines += `${next.line}\n`;
      head = next.head;
    };
    for (const { entry, time } of entries) add(entry, time);
    if (lost > 0) add({ event: "lost", lines: lost }, Date.now());
    return { lines, head };
  }

  /** A file that was moved or removed, as log rotation does, is made anew within a second. */
  async #followRotation(): Promise<void> {
    const now = performance.now();
    if (now - this.#looked < 1000) return;
    const there = await stat(this.#path).catch(() => undefined);
    if (there?.ino !== (await this.#file.stat()).ino) await this.#beginAnew();
    this.#looked = now;
  }

  async #beginAnew(): Promise<void> {
    const before = this.#file;
    const next = await openFile(this.#path);
    try {
      const { size } = await next.stat();
      if (this.#isDoubtful) await this.#cut();
      this.#isDoubtful = false;
      await before.datasync();
      this.#size = size;
    } catch (error) {
      await next.close();
      throw error;
    }
    this.#file = next;
    this.#ahead = "";
    await before.close();
  }
}

/** In usual lines. */
function lengthOf(entry: AuditEntry): number {
  const statements = entry["statements"];
  return Array.isArray(statements) ? statements.length : 1;
}

async function openFile(path: string): Promise<FileHandle> {
  return await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
}
