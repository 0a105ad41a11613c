import { expect, test } from "vitest";
import { parseAdminAnswer, parseAdminRequest } from "../../directory/admin-socket.ts";
import { parseEntry, TABLES } from "../../directory/tables.ts";

test.each(["", "{", '{"added":1}', "null", "\u0000", '{"__proto__":{}}'])(
  "a store with %j in it is damaged, no bug",
  (text) => {
    for (const table of TABLES) {
      expect(() => parseEntry(table, text)).toThrow(expect.objectContaining({ code: "E_STORAGE" }));
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
