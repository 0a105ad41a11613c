import { expect, test } from "vitest";
import { parseAdminAnswer, parseAdminRequest } from "../../directory/admin-socket.ts";
import { LOG_TABLES, parseLogEntry } from "../../directory/log/rows.ts";
import { parseEntry, REPORTS, TABLES } from "../../directory/tables.ts";
import { RENDEZVOUS_CONNECTIONS } from "../../protocol/limits.ts";

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

test("a report that a version before has kept counts, and a region that is none does not", () => {
  const before = { boot: "AAAAAAAAAAAAAAAAAAAAAA==", legs: 3, time: 1_800_000_000_000 };
  expect(parseEntry(REPORTS, JSON.stringify(before))).toEqual({
    ...before,
    ...{ most: RENDEZVOUS_CONNECTIONS, isDraining: false, region: "" },
  });
  const strange = JSON.stringify({ ...before, region: "\u001b[2J" });
  expect(() => parseEntry(REPORTS, strange)).toThrow(expect.objectContaining({ code: "E_STORAGE" }));
});

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
