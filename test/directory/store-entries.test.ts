import { expect, test } from "vitest";
import { parseAdminAnswer, parseAdminRequest } from "../../directory/admin-socket.ts";
import { parseEntry, Store, TABLES } from "../../directory/store.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

test("when a device was last seen is known before it is written, and after a restart", async () => {
  await using folder = await temporaryFolder();
  const parties = Array.from({ length: 100 }, (_, i) => ({ name: parseName("@device"), member: parseMember(`d${i}`) }));
  const seen = (store: Store): Promise<(number | undefined)[]> =>
    Promise.all(parties.map((party) => store.lastSeen(party)));
  {
    await using store = await Store.open(folder.path);
    const writes = parties.map((party, i) => store.putLastSeen([party], 1000 + i));
    expect(await seen(store)).toEqual(parties.map((_, i) => 1000 + i));
    await Promise.all(writes);
  }
  await using store = await Store.open(folder.path);
  expect(await seen(store)).toEqual(parties.map((_, i) => 1000 + i));
});

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
