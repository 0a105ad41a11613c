import { expect, test } from "vitest";
import { DeniedError, SecurityError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { OWN_END_NEAR_MS } from "../../protocol/limits.ts";
import { isEndNear, ownEndNear, ownEndTrouble } from "../../sshnp/own-end-texts.ts";

const OWN = { name: parseName("@acme"), member: parseMember("laptop") };
const END = Date.UTC(2027, 2, 1, 12);

test("from 30 days ahead a client is told when its keys end, and what its owner does about it", () => {
  expect([isEndNear(null, END), isEndNear(END, END - OWN_END_NEAR_MS), isEndNear(END, END - 1)]).toEqual([
    false,
    false,
    true,
  ]);
  expect(ownEndNear(OWN, END)).toBe(
    "the keys of laptop count until 2027-03-01 12:00 UTC and no longer. Where the owner key of @acme is: sshnp-keys renew @acme laptop",
  );
});

test("only what was refused for its statement, after that end, is told as the end", () => {
  const [refused, other] = [new SecurityError("E_STATEMENT", "other"), new DeniedError("E_REVOKED", "revoked")];
  expect(ownEndTrouble(OWN, END, END, refused)).toMatchObject({
    message: "The keys of laptop of @acme counted until 2027-03-01 12:00 UTC.",
  });
  expect(ownEndTrouble(OWN, END, END - 1, refused)).toBe(refused);
  expect(ownEndTrouble(OWN, null, END, refused)).toBe(refused);
  expect(ownEndTrouble(OWN, END, END, other)).toBe(other);
});
