import { randomUUID } from "node:crypto";
import * as v from "valibot";
import { SetupError } from "../keys/errors.ts";
import { STORE_LINE_BYTES, STORE_LINES_AT_ONCE } from "../protocol/limits.ts";
import type { Database, Operation } from "./database.ts";
import { DISTANCES, IDS, NONCES, PRESENCES } from "./tables.ts";

/*
 * A store as text, to be taken to another one: a line of JSON `{"v":1,"kind":"sshnp-store"}`, then `[key, value]` a line, and
 * at the end `{"entries":N}`. The log's rows are among them, so that every proof is the same afterwards.
 */

/** What is of use to a running directory alone. */
const FLEETING = ["import:", IDS.prefix, NONCES.prefix, PRESENCES.prefix, DISTANCES.prefix];
export const LOG_CHECKPOINT = "log:checkpoint";
/** In a store into which an import was begun, and not ended: which one it was. */
export const IMPORT_BEGUN = "import:begun";

/**
 * The lines of a store as it is at one moment, each with its end. One without a log is none, and its lines have no end that is taken.
 * @throws {SetupError} E_LOG for such a one; {UnavailableError} E_STORAGE.
 */
export async function* exportStore(database: Pick<Database, "snapshot">): AsyncGenerator<string, void, void> {
  await using snapshot = await database.snapshot();
  yield `${JSON.stringify({ v: 1, kind: "sshnp-store" })}\n`;
  let count = 0;
  let hasLog = false;
  for (let after = ""; ; ) {
    const entries = await snapshot.entriesAfter(after, "", STORE_LINES_AT_ONCE);
    const lasting = entries.filter(([key]) => !FLEETING.some((prefix) => key.startsWith(prefix)));
    if (lasting.length > 0) yield lasting.map((entry) => `${JSON.stringify(entry)}\n`).join("");
    count += lasting.length;
    hasLog ||= lasting.some(([key]) => key === LOG_CHECKPOINT);
    const last = entries.at(-1);
    if (last === undefined || entries.length < STORE_LINES_AT_ONCE) break;
    [after] = last;
  }
  if (!hasLog) {
    throw new SetupError("E_LOG", "There is no log in the store, so it is not a directory's whole store.", {
      next: "Export the store that the directory has run on.",
    });
  }
  yield `${JSON.stringify({ entries: count })}\n`;
}

/**
 * Puts the lines of {@link exportStore} into an empty store; gives how many. The newest checkpoint is written last, so that one that
 * was interrupted is no store; the next try begins with an empty one. Of two at once the later one takes over.
 * @throws {SetupError} E_USAGE when the store is not empty, or another import was begun meanwhile, E_PROTOCOL for lines that are none, or end early; {UnavailableError} E_STORAGE.
 */
export async function importStore(database: Database, lines: AsyncIterable<string>): Promise<number> {
  const write = await begin(database);
  let state: "begin" | "entries" | "end" = "begin";
  let count = 0;
  let waiting: Operation[] = [];
  let checkpoint: Operation | undefined;
  for await (const text of lines) {
    const line = parseStoreLine(text);
    if (Array.isArray(line)) {
      if (state !== "entries") throw malformed();
      count += 1;
      const [key, value] = line;
      // A log that somebody began meanwhile is not overwritten.
      if (key === LOG_CHECKPOINT) checkpoint = { type: "replace", key, before: undefined, value };
      else waiting.push({ type: "put", key, value });
      if (waiting.length < STORE_LINES_AT_ONCE) continue;
      await write(waiting);
      waiting = [];
    } else if ("kind" in line) {
      if (state !== "begin") throw malformed();
      state = "entries";
    } else {
      if (state !== "entries" || line.entries !== count) throw malformed();
      state = "end";
    }
  }
  if (state !== "end" || checkpoint === undefined) throw malformed();
  await write([...waiting, checkpoint, { type: "del", key: IMPORT_BEGUN }]);
  return count;
}

/** Sees to it that the store is empty but for the mark of an import. Gives what writes while that is this one's. @throws {SetupError} E_USAGE. */
async function begin(database: Database): Promise<(operations: readonly Operation[]) => Promise<void>> {
  const own = randomUUID();
  await database.exclusively(async () => {
    const [first] = await database.entriesAfter("", "", 1);
    const [begun, checkpoint] = await database.getMany([IMPORT_BEGUN, LOG_CHECKPOINT]);
    if (first !== undefined && (begun === undefined || checkpoint !== undefined)) {
      throw new SetupError("E_USAGE", "That store is in use already.", {
        next: database.isShared
          ? "Import into an empty one: another database, or this one dropped and created anew."
          : "Import into an empty one: move the folder `store` out of the data folder first.",
      });
    }
    await database.write("acknowledged", [{ type: "put", key: IMPORT_BEGUN, value: own }]);
  });
  const write = (operations: readonly Operation[]): Promise<void> =>
    database.exclusively(async () => {
      if ((await database.get(IMPORT_BEGUN)) !== own) throw overtaken();
      await database.write("acknowledged", operations);
    });
  for (;;) {
    const left = (await database.entriesAfter("", "", STORE_LINES_AT_ONCE)).filter(([key]) => key !== IMPORT_BEGUN);
    if (left.length === 0) return write;
    await write(left.map(([key]) => ({ type: "del", key })));
  }
}

function overtaken(): SetupError {
  return new SetupError("E_USAGE", "Another import into that store was begun meanwhile.", {
    next: "Let that one end, or stop it and import again.",
  });
}

const lineSchema = v.union([
  v.strictObject({ v: v.literal(1), kind: v.literal("sshnp-store") }),
  v.strictObject({ entries: v.pipe(v.number(), v.safeInteger(), v.minValue(0)) }),
  v.strictTuple([v.pipe(v.string(), v.regex(/^[a-z-]+:[^\0]*$/)), v.pipe(v.string(), v.regex(/^[^\0]*$/))]),
]);

/** A line of a store as text. @throws {SetupError} E_PROTOCOL. */
export function parseStoreLine(text: string): v.InferOutput<typeof lineSchema> {
  if (text.length > STORE_LINE_BYTES) throw malformed();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw malformed();
  }
  const result = v.safeParse(lineSchema, json);
  if (!result.success) throw malformed();
  return result.output;
}

function malformed(): SetupError {
  return new SetupError("E_PROTOCOL", "That is not a whole store, as sshnp-directory export prints one.", {
    next: "Export it again; the store that was to be filled can be used for the next try.",
  });
}
