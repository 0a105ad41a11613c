import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parsePolicy } from "../../protocol/policy/parse.ts";
import { runPolicyTests, testLines } from "../../protocol/policy/policy-tests.ts";
import { POLICY_BYTES } from "../../protocol/limits.ts";

const TEXT = readFileSync(join(import.meta.dirname, "../../docs/policy.md"), "utf8");
const EXAMPLES = [...TEXT.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, example = ""]) => example);
const policyOf = (text: string) => parsePolicy(text, { unknownZones: "refuse" });

describe("docs/policy.md", () => {
  test("has examples", () => {
    expect(EXAMPLES).toHaveLength(3);
  });

  test.each(EXAMPLES.map((example, i) => [i + 1, example] as const))(
    "example %i is a policy whose tests pass",
    (_, example) => {
      const results = runPolicyTests(policyOf(example));
      expect(testLines(results).filter((line) => !line.startsWith("ok "))).toEqual([]);
      expect(results.length).toBe((example.match(/expect:/g) ?? []).length);
    },
  );

  test("the tests of its examples are such that they can fail", () => {
    for (const example of EXAMPLES.filter((text) => text.includes("tests:"))) {
      const { tests, ...rest } = policyOf(example);
      const without = runPolicyTests({ ...rest, tests, grants: [] });
      expect(without.some(({ passed }) => !passed)).toBe(true);
    }
  });

  test("knows the fields that the parser knows", () => {
    const listed = [...TEXT.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, field]) => field);
    for (const [text, what] of [
      ["x: y", "a policy"],
      ["version: 1\ngrants: [{x: y}]", "a grant"],
      ["version: 1\ntests: [{x: y}]", "a test"],
    ] as const) {
      const { next } = refusalOf(text);
      const [, fields = ""] = /^Its fields are (.*)\.$/.exec(next ?? "") ?? [];
      for (const field of fields.split(", "))
        expect([...listed, "from", "to", "service", "expect"], what).toContain(field);
    }
  });

  // Hours, moments, services and devices that running text shows as such.
  test.each([
    ["hours", /(?:[a-z,-]+ )?\d\d:\d\d-\d\d:\d\d[^`"]* [A-Z][A-Za-z/]+/],
    ["expires", /^2\d{3}-[^`]*$/],
    ["services", /^"?tcp:(?!HOST)[^`"]*"?$/],
  ])("shows %s as they are written", (field, form) => {
    const shown = [...TEXT.replace(/^```[a-z]*\n.*?^```$/gms, "").matchAll(/`([^`]+)`/g)]
      .map(([, code = ""]) => code.replace(/\s+/g, " "))
      .filter((code) => form.test(code));
    expect(shown.length).toBeGreaterThan(0);
    for (const code of shown) {
      const fields = field === "services" ? `services: [${code}]` : `services: [ssh], ${field}: ${code}`;
      expect(() => policyOf(`version: 1\ngrants:\n  - {from: ["@a"], to: [b], ${fields}}\n`), code).not.toThrow();
    }
  });

  test("says the limit that holds", () => {
    expect(TEXT).toContain(`at most ${POLICY_BYTES / 1024} KiB`);
  });
});

function refusalOf(text: string): { readonly next?: string } {
  try {
    policyOf(text);
  } catch (error) {
    return error as { readonly next?: string };
  }
  return {};
}
