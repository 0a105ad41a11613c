import { expect, test } from "vitest";
import { parseAdminAnswer, parseAdminRequest } from "../../directory/admin-socket.ts";
import { LOG_TABLES, parseLogEntry } from "../../directory/log/rows.ts";
import { parseEntry, TABLES } from "../../directory/tables.ts";

test.each(["", "{", '{"added":1}', "null", "\u0000", '{"__proto__":{}}'])(
  "a store with %j in it is damaged, no bug",
  (text) => {
    for (const table of TABLES) {
      expect(() => parseEntry(table, text)).toThrow(expect.objectContaining({ code: "E_STORAGE" }));
    }
    for (const table of LOG_TABLES) {
      expect(() => parseLogEntry(table, text)).toThrow(expect.objectContaining({ code: "E_STORAGE" }));
    }
  },
);

test("no table's keys are among another's", () => {
  const prefixes = [...TABLES, ...LOG_TABLES].map(({ prefix }) => prefix).concat("log:");
  for (const prefix of prefixes) {
    expect(prefixes.filter((other) => other.startsWith(prefix))).toEqual([prefix]);
  }
});

test.each([undefined, "AA==", Buffer.alloc(33, 9).toString("base64"), `${"A".repeat(44)}=`, "A".repeat(1_000_000)])(
  "a log with %s in it is damaged, no bug",
  (text) => {
    for (const table of LOG_TABLES) {
      expect(() => parseLogEntry(table, text)).toThrow(expect.objectContaining({ code: "E_STORAGE" }));
    }
  },
);

test.each([
  "",
  "{",
  "[]",
  '{"command":"drop"}',
  '{"command":"names","more":1}',
  '{"command":"add-name","name":"acme"}',
])("%j is neither a request nor an answer on the admin socket", (line) => {
  expect(() => parseAdminRequest(line)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
  expect(() => parseAdminAnswer(line)).toThrow(expect.objectContaining({ code: "E_PROTOCOL" }));
});
