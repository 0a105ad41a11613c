import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findExportedParsers, parsersIn } from "./exported-parsers.ts";
import { NO_PARSERS } from "./no-parsers.ts";
import { PARSERS } from "./table.ts";

const ROOT = join(import.meta.dirname, "../..");
const ROOMS = ["keys", "protocol", "directory", "rendezvous", "sshnpd", "sshnp"];

describe("the table of parsers", () => {
  const exported = findExportedParsers(
    ROOT,
    ROOMS.filter((room) => existsSync(join(ROOT, room))),
  );
  const covered = PARSERS.flatMap(({ covers }) => covers);
  const excused = Object.values(NO_PARSERS).flat();

  test("has every exported parser that is not excused", () => {
    const known = new Set([...covered, ...excused]);
    const missing = [...exported].filter(([name]) => !known.has(name));
    expect(
      missing.map(([name, signs]) => `${name} is in neither table.ts nor no-parsers.ts: ${signs.join(", ")}`),
    ).toEqual([]);
  });

  test("names no export that is gone, and excuses none that it has or that looks like no parser", () => {
    expect(covered.filter((name) => !exported.has(name))).toEqual([]);
    expect(excused.filter((name) => !exported.has(name) || covered.includes(name))).toEqual([]);
    expect(excused).toHaveLength(new Set(excused).size);
  });

  test("gives every export a whole share of the inputs, or says why not", () => {
    const short = [...new Set(covered)].filter((name) => {
      const rows = PARSERS.filter(({ covers }) => covers.includes(name));
      const sum = rows.reduce((share, row) => share + (row.share ?? 1), 0);
      return sum < 0.999 && !rows.some(({ because }) => because !== undefined);
    });
    expect(short).toEqual([]);
  });

  test("has each name once", () => {
    expect(PARSERS).toHaveLength(new Set(PARSERS.map(({ name }) => name)).size);
  });
});

// Each line is a file that holds a parser which somebody might not think of as one, and under which name it is found.
const FOUND = `
parseTicket     export function parseTicket(text: string) { return text; }
ticketOf        export function ticketOf(bytes: Uint8Array) { return new ByteReader(bytes).u8(); }
ticketOf        export const ticketOf = (bytes: Uint8Array) => new ByteReader(bytes).u8();
ticketOf        function ticket(reader: ByteReader) { return reader.u8(); } export { ticket as ticketOf };
ticketOf        export function ticketOf(bytes: Uint8Array) { return pick(bytes); } function pick(b: Uint8Array) { return b[0]; }
ticketOf        export function ticketOf(bytes: Uint8Array) { const [first] = bytes; return first; }
ticketOf        export function ticketOf(bytes: Uint8Array) { for (const byte of bytes) if (byte > 1) return byte; }
ticketOf        export function ticketOf(text: string) { return /^a(.*)$/.exec(text)?.[1]; }
ticketOf        export function ticketOf(text: string) { return text.split(",").map(Number); }
ticketOf        export function ticketOf(text: string) { return JSON.parse(text); }
ticketOf        export function ticketOf(text: string) { return v.safeParse(schema, text); }
ticketOf        export function ticketOf(text: string) { throw new PeerError("E_PROTOCOL", text); }
ticketOf        export function ticketOf(text: string) { throw new SecurityError("E_PROTOCOL", text); }
ticketOf        export function ticketOf(bytes: Uint8Array) { return new DataView(bytes.buffer).getUint32(0); }
ticketOf        export async function ticketOf(input: Readable) { for await (const one of input) return one; }
Tickets         export class Tickets { static parse(bytes: Uint8Array) { return bytes; } }
Tickets         export class Tickets { receive(bytes: Uint8Array) { return bytes; } }
Tickets         export class Tickets { #inner(text: string) { return /a/.test(text); } look(text: string) { return this.#inner(text); } }
TICKETS         export const TICKETS = { from: (text: string) => new URL(text) };
shape           export const shape = v.strictObject({ v: v.literal(1) });
shape           const inner = v.strictObject({ v: v.literal(1) }); export const shape = v.array(inner);
default         export default function (text: string) { return JSON.parse(text); }
(module)        const text = await read(); process.exit(Number(JSON.parse(text)));
(module)        run(); function run() { return inner(); } function inner() { return JSON.parse(""); }
forgotten       function forgotten(text: string) { return JSON.parse(text); }
`;

test.each(
  FOUND.trim()
    .split("\n")
    .map((line) => [line.slice(0, 16).trim(), line.slice(16)] as const),
)("%s is found in: %s", (name, source) => {
  expect(parsersIn("a.ts", source).map(([found]) => found)).toEqual([name]);
});

test("what takes nothing apart is no parser, whatever its comments, types and strings say", () => {
  const source = `
    // new ByteReader(bytes).u8(); JSON.parse(text)
    import { parseTicket } from "./ticket.ts";
    export type Parse = (text: string) => ReturnType<typeof JSON.parse>;
    export interface ReadTicket { parse(bytes: Uint8Array): void }
    export const text = 'JSON.parse("")';
    export function join(bytes: Uint8Array, others: readonly string[]) { return [bytes.length, others[0]]; }
    export function use(bytes: Uint8Array) { return parseTicket(bytes); }`;
  expect(parsersIn("a.ts", source)).toEqual([]);
});
