import * as fc from "fast-check";
import { expect, test } from "vitest";
import { nearest } from "../../../protocol/policy/nearest.ts";
import { hasService, matches, printService } from "../../../protocol/policy/patterns.ts";
import { parseServicePattern } from "../../../protocol/policy/parse-services.ts";
import { parseInstant, printInstant } from "../../../protocol/policy/instant.ts";
import { parseService } from "../../../protocol/service.ts";

test.each([
  ["*", "", true],
  ["*", "gw1", true],
  ["", "", true],
  ["", "a", false],
  ["gw-*", "gw-", true],
  ["gw-*", "gw-1", true],
  ["gw-*", "gw", false],
  ["gw-*", "xgw-1", false],
  ["*-gw", "a-gw", true],
  ["*-gw", "a-gw1", false],
  ["a*b*c", "abc", true],
  ["a*b*c", "acbc", true],
  ["a*b*c", "acb", false],
  ["a*a", "a", false],
  ["a*ab", "aaab", true],
  ["**", "x", true],
  ["gw.", "gwx", false],
  ["gw", "GW", false],
  ["gw-*", "gw-*", true],
  ["gw-1", "gw-*", false],
  ["gw-a*", "gw-*", false],
  ["g*", "gw-*", true],
])("%s and %s: %s", (pattern, text, expected) => {
  expect(matches(pattern, text)).toBe(expected);
});

/** By definition: the star takes nothing, or one character more. */
function matchesByDefinition(pattern: string, text: string): boolean {
  if (pattern === "") return text === "";
  if (pattern[0] === "*") {
    return matchesByDefinition(pattern.slice(1), text) || (text !== "" && matchesByDefinition(pattern, text.slice(1)));
  }
  return pattern[0] === text[0] && text !== "" && matchesByDefinition(pattern.slice(1), text.slice(1));
}

const letters = (all: string, maxLength: number): fc.Arbitrary<string> =>
  fc.array(fc.constantFrom(...all.split("")), { maxLength }).map((list) => list.join(""));

test("a pattern matches as its definition says", () => {
  fc.assert(
    fc.property(letters("ab*", 8), letters("ab", 10), (pattern, text) => {
      expect(matches(pattern, text)).toBe(matchesByDefinition(pattern, text));
    }),
    { numRuns: 3000 },
  );
});

test("a pattern matches another pattern exactly when it has all that the other one has", () => {
  const texts = Array.from({ length: 6 }, (_, length) =>
    Array.from({ length: 3 ** length }, (__, number) => number.toString(3).padStart(length, "0").slice(0, length)),
  ).flat();
  fc.assert(
    // A third letter that stands in no pattern, as there always is one in a name of 36 characters.
    fc.property(letters("01*", 3), letters("01*", 3), (wide, narrow) => {
      const has = texts
        .filter((text) => matchesByDefinition(narrow, text))
        .every((text) => matchesByDefinition(wide, text));
      expect(matches(wide, narrow)).toBe(has);
    }),
    { numRuns: 2000 },
  );
});

test("the worst pattern takes no time", () => {
  const started = performance.now();
  for (let i = 0; i < 1000; i++) expect(matches(`${"a*".repeat(17)}b`, "a".repeat(36))).toBe(false);
  expect(performance.now() - started).toBeLessThan(500);
  expect(matches(`${"*a".repeat(20_000)}b`, "a".repeat(20_000))).toBe(false);
});

const patternOf = (text: string) => parseServicePattern({ kind: "text", text, at: { line: 1, column: 1 } });

test.each([
  ["ssh", "ssh", true],
  ["ssh", "tcp:127.0.0.1:22", false],
  ["tcp:*:*", "ssh", false],
  ["tcp:*:22", "tcp:127.0.0.1:22", true],
  ["tcp:127.0.0.1:*", "tcp:127.0.0.1:22", true],
  ["tcp:127.0.0.1:22", "tcp:127.0.0.1:2", false],
  ["tcp:127.0.0.1:22", "tcp:127.0.0.1:222", false],
  // One host has many spellings; a grant has the one that it names.
  ["tcp:127.0.0.1:22", "tcp:localhost:22", false],
  ["tcp:127.0.0.1:22", "tcp:127.1:22", false],
  ["tcp:127.0.0.1:22", "tcp:127.0.0.1.:22", undefined],
  ["tcp:[::1]:22", "tcp:[::1]:22", true],
  ["tcp:[::1]:22", "tcp:[0:0:0:0:0:0:0:1]:22", false],
  ["tcp:[::1]:*", "tcp:[::1]:80", true],
  ["ssh", "ping", false],
  ["tcp:*:*", "ping", false],
])("%s has %s: %s", (pattern, text, expected) => {
  if (expected === undefined) expect(() => parseService(text)).toThrow("unknown service");
  else expect(hasService(patternOf(pattern), parseService(text))).toBe(expected);
});

test("a service is printed as it was written", () => {
  for (const text of ["ssh", "tcp:a:1", "tcp:*:1", "tcp:a.b-c:*", "tcp:*:*", "tcp:[fd00::1]:80", "tcp:[::1]:*"]) {
    expect(printService(patternOf(text))).toBe(text);
  }
});

test.each([
  ["grant", "grants"],
  ["garnts", "grants"],
  ["service", "services"],
  ["expirse", "expires"],
  ["login", "logins"],
  ["Grants", "grants"],
  ["hosts", undefined],
  ["to", undefined],
  ["", undefined],
  ["__proto__", undefined],
  ["x".repeat(10_000), undefined],
])("the nearest to %s is %s", (word, expected) => {
  expect(nearest(word, ["version", "grants", "tests", "services", "expires", "logins"])).toBe(expected);
});

test.each([
  ["2027-01-31", "2027-01-31T00:00:00.000Z"],
  ["2027-01-31T18:00Z", "2027-01-31T18:00:00.000Z"],
  ["2027-01-31T18:00:59Z", "2027-01-31T18:00:59.000Z"],
  ["2027-01-31T18:00+01:00", "2027-01-31T17:00:00.000Z"],
  ["2027-01-31T18:00:00-05:30", "2027-01-31T23:30:00.000Z"],
  ["2028-02-29", "2028-02-29T00:00:00.000Z"],
  ["2000-01-01", "2000-01-01T00:00:00.000Z"],
  ["2999-12-31T23:59:59Z", "2999-12-31T23:59:59.000Z"],
])("%s is %s", (text, time) => {
  expect(new Date(parseInstant(text) ?? Number.NaN).toISOString()).toBe(time);
});

test.each(
  "2027-02-29 2027-04-31 2027-13-01 2027-00-10 2027-01-00 1999-12-31 3000-01-01 02027-01-01 2027-1-1 27-01-01 2027-01-31T24:00Z 2027-01-31T18:60Z 2027-01-31T18:00:60Z 2027-01-31T18:00 2027-01-31t18:00Z 2027-01-31T18:00z 2027-01-31T18:00:00.5Z 2027-01-31T18:00+24:00 2027-01-31T18:00+0100 +02027-01-01 2027-01-31Z 2027-01-31T 1e9 NaN".split(
    " ",
  ),
)("%s is no moment", (text) => {
  expect(parseInstant(text)).toBeUndefined();
});

test("a moment is printed in one form, which is read as the same minute", () => {
  fc.assert(
    fc.property(fc.integer({ min: Date.UTC(2000, 0), max: Date.UTC(2999, 11) }), (time) => {
      const again = parseInstant(printInstant(time).replace(" UTC", "Z").replace(" ", "T"));
      expect(again).toBe(Math.floor(time / 60_000) * 60_000);
    }),
  );
});
