import { readFile, rename, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { SetupError } from "../../keys/errors.ts";
import { interruption } from "../../keys/interruption.ts";
import { quoted } from "../../keys/names.ts";
import { printData } from "../../keys/print-data.ts";
import { shellWord } from "../../keys/shell-word.ts";
import { nearest } from "../../protocol/policy/nearest.ts";
import { NOTE_BYTES } from "../../protocol/limits.ts";
import { AUDIT_FILE } from "../audit.ts";
import { followLines } from "../audit/follow.ts";
import { AUDIT_EVENTS, isAuditEvent } from "../audit/events.ts";
import { type AuditLine, auditLineOf, isPrintable } from "../audit/line.ts";
import type { TextLine } from "../audit/read-lines.ts";
import { parseReceiver, Receiver } from "../audit/receiver.ts";
import { octetCounted, syslogMessage } from "../audit/syslog.ts";
import { openDataFolder } from "../data-folder.ts";
import type { ExportOptions } from "./audit-options.ts";
import { parseWhen } from "./when.ts";

interface Wanted {
  readonly since: string | undefined;
  readonly until: string | undefined;
  readonly events: ReadonlySet<string> | undefined;
}

interface Cursor {
  readonly directory: string;
  readonly n: number;
}

/** Prints the lines of audit files that are asked for, or sends them. @throws {SetupError}, {UnavailableError}. */
export async function exportAudit(files: readonly string[], options: ExportOptions): Promise<void> {
  const stop = interruption("Run the command again.");
  const paths = files.length > 0 ? files : [await fileOf(options.data)];
  if (options.follow === true && files.length > 0) {
    throw usage("--follow is for the file in the data folder.", "Leave the files out.");
  }
  const now = Date.now();
  const wanted: Wanted = {
    since: options.since === undefined ? undefined : parseWhen("--since", options.since, now),
    until: options.until === undefined ? undefined : parseWhen("--until", options.until, now),
    events: options.event === undefined ? undefined : new Set(options.event.map(parseEvent)),
  };
  if (options.to !== undefined && options.format === "ndjson") {
    throw usage("--to sends syslog.", "Leave --format out, or write to standard output.");
  }
  const place = options.to === undefined ? undefined : parseReceiver(options.to);
  if (options.toCa !== undefined && place?.isSecure !== true) throw usage("--to-ca is for tls://.", "Leave it out.");
  const before = options.cursorFile === undefined ? undefined : await readCursor(options.cursorFile);
  const isWhole = wanted.since === undefined && wanted.until === undefined && wanted.events === undefined;
  const logSize = files.length > 0 || !isWhole ? undefined : await knownLogSize(options.data);
  using receiver = place && (await Receiver.open(place, { ca: options.toCa, signal: stop }));
  const isSyslog = receiver !== undefined || options.format === "syslog";
  const host = hostname();
  const print = (line: AuditLine | undefined, text: string): string => {
    if (!isSyslog) return `${text}\n`;
    if (line === undefined) return "";
    const message = syslogMessage(line, text, host);
    return receiver === undefined ? `${message}\n` : octetCounted(message);
  };
  const pass = new Passing(wanted, before, print);
  for (const path of paths) {
    for await (const lines of followLines(path, { follow: options.follow ?? false, signal: stop })) {
      const text = lines.map((line) => pass.take(line, path)).join("");
      if (receiver === undefined) {
        if (text !== "") await printData(text);
        if (!process.stdout.writable) return; // its reader has gone
      } else {
        if (text !== "" || receiver.isGone) await sendUnlessStopped(receiver, text, stop);
      }
      if (options.cursorFile !== undefined && !stop.aborted) await pass.keep(options.cursorFile);
    }
  }
  await receiver?.close();
  if (options.follow === true) return;
  tellUnreadable(pass.unreadable);
  if (logSize !== undefined && before === undefined) {
    process.stderr.write(
      `The log has ${logSize} entries: audit verify --log-size ${logSize} holds these lines against it.\n`,
    );
  }
}

async function sendUnlessStopped(receiver: Receiver, text: string, stop: AbortSignal): Promise<void> {
  try {
    await receiver.send(text, stop);
  } catch (error) {
    if (!stop.aborted) throw error;
  }
}

/** Which lines go out, and as what. */
class Passing {
  readonly #wanted: Wanted;
  readonly #before: Cursor | undefined;
  readonly #print: (line: AuditLine | undefined, text: string) => string;
  #last: Cursor | undefined;
  #kept: Cursor | undefined;
  /** Where something stands that is no line and that a terminal would not merely show. */
  readonly unreadable: string[] = [];

  constructor(
    wanted: Wanted,
    before: Cursor | undefined,
    print: (line: AuditLine | undefined, text: string) => string,
  ) {
    this.#wanted = wanted;
    this.#before = before;
    this.#print = print;
  }

  /** What goes out for a line; empty: nothing. */
  take({ text, number, isEnded }: TextLine, path: string): string {
    if (!isEnded) return ""; // a line that is being written, or never was
    const line = auditLineOf(text);
    if (line === undefined) {
      if (!isPrintable(text)) this.unreadable.push(`${path}:${number}`);
      // A part of a line that the next one tells of: of use to whoever has everything.
      return isPrintable(text) && this.#isEverything ? this.#print(undefined, text) : "";
    }
    const { directory, n, time, event } = line;
    if (this.#before?.directory === directory && n <= this.#before.n) return "";
    this.#last = { directory, n };
    const { since, until, events } = this.#wanted;
    const isWanted =
      (since === undefined || time >= since) &&
      (until === undefined || time < until) &&
      (events === undefined || events.has(event));
    return isWanted ? this.#print(line, text) : "";
  }

  /** Writes down what went out last. @throws {SetupError} E_STORAGE. */
  async keep(file: string): Promise<void> {
    if (this.#last === undefined || this.#last === this.#kept) return;
    this.#kept = this.#last;
    const { directory, n } = this.#last;
    try {
      await writeFile(`${file}.new`, `${directory} ${n}\n`, { mode: 0o600 });
      await rename(`${file}.new`, file);
    } catch (cause) {
      throw new SetupError("E_STORAGE", `Cannot write ${shellWord(file)}.`, {
        next: "Check the folder's owner and the free space.",
        cause,
      });
    }
  }

  get #isEverything(): boolean {
    const { since, until, events } = this.#wanted;
    return since === undefined && until === undefined && events === undefined && this.#before === undefined;
  }
}

/** `DIRECTORY N`: the last line that went out. @throws {SetupError} E_USAGE. */
export function parseCursor(text: string): Cursor {
  const [, directory, n] = /^([0-9a-f]{16}) ([1-9][0-9]{0,15})\n$/.exec(text) ?? [];
  if (directory === undefined || !Number.isSafeInteger(Number(n))) {
    throw usage("The cursor file has no cursor in it.", "Name a file that only audit export writes, or remove it.");
  }
  return { directory, n: Number(n) };
}

async function readCursor(file: string): Promise<Cursor | undefined> {
  try {
    return parseCursor(await readFile(file, "utf8"));
  } catch (cause) {
    if (cause instanceof SetupError) throw cause;
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return undefined;
    throw usage(`Cannot read ${shellWord(file)}.`, "Check its path and mode.", cause);
  }
}

/** A word that is no event would only ever find nothing. @throws {SetupError} E_USAGE. */
function parseEvent(word: string): string {
  if (isAuditEvent(word)) return word;
  const meant = nearest(word, AUDIT_EVENTS);
  const fact = `${quoted(word)} is no event of the audit.`;
  throw usage(
    meant === undefined ? fact : `${fact} Did you mean ${quoted(meant)}?`,
    `These are: ${AUDIT_EVENTS.join(", ")}.`,
  );
}

async function fileOf(data: string | undefined): Promise<string> {
  if (data === undefined) throw usage("There is nothing to export.", "Name the data folder: --data DIR");
  return (await openDataFolder(data)).pathOf(AUDIT_FILE);
}

/** Leaves of the log by the newest checkpoint that this directory keeps beside its store. */
async function knownLogSize(data: string | undefined): Promise<number | undefined> {
  const note = data === undefined ? undefined : await (await openDataFolder(data)).read("log-checkpoint", NOTE_BYTES);
  const size = note && Buffer.from(note).toString("latin1").split("\n")[1];
  return size !== undefined && /^[1-9][0-9]{0,15}$/.test(size) ? Number(size) : undefined;
}

function tellUnreadable(places: readonly string[]): void {
  const [first] = places;
  if (first === undefined) return;
  process.stderr.write(
    `${places.length} lines are none of an audit and were left out, the first at ${quoted(first)}.\n`,
  );
}

function usage(fact: string, next: string, cause?: unknown): SetupError {
  return new SetupError("E_USAGE", fact, cause === undefined ? { next } : { next, cause });
}
