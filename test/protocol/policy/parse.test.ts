import * as fc from "fast-check";
import { expect, test } from "vitest";
import { stringify } from "yaml";
import { SetupError } from "../../../keys/errors.ts";
import { POLICY_BYTES } from "../../../protocol/limits.ts";
import { decide } from "../../../protocol/policy/decide.ts";
import { parsePolicy } from "../../../protocol/policy/parse.ts";
import { EXAMPLE, policyOf, requestOf } from "./examples.ts";
import { plainPolicy, printPlain } from "./reference.ts";
import { REFUSED } from "./refused.ts";
import { processorMs } from "../../support/processor-time.ts";

function refusalOf(text: string): SetupError {
  try {
    policyOf(text);
  } catch (error) {
    if (error instanceof SetupError) return error;
    throw error;
  }
  throw new Error(`it is a policy: ${text}`);
}

test("a policy says what stands in it", () => {
  const { owners, groups, tags, grants, tests } = policyOf(EXAMPLE);
  expect([...owners]).toEqual([["@acme", "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"]]);
  expect([...groups.keys()]).toEqual(["operators", "vendors"]);
  expect(tags.get("gateways")).toEqual({ devices: new Set(["gw1", "gw2"]), patterns: ["gw-*"] });
  expect(grants).toMatchObject([
    {
      number: 1,
      line: 10,
      name: "operators reach every gateway",
      from: [{ members: new Set(["@acme/alice", "@acme/bob"]) }],
      services: [{ kind: "ssh" }],
      logins: new Set(["pi", "root"]),
      hours: { zone: "Europe/Berlin" },
      expires: Date.UTC(2027, 0, 31),
    },
    {
      number: 2,
      line: 17,
      services: [
        { kind: "tcp", host: "127.0.0.1", port: 502 },
        { kind: "tcp", host: "10.0.0.7", port: "*" },
      ],
      logins: undefined,
      hours: undefined,
      expires: undefined,
    },
  ]);
  expect(tests).toMatchObject([
    { line: 22, expect: "allow", request: { login: "pi", now: Date.UTC(2026, 11, 1, 10) } },
    { line: 28, expect: "deny", request: { login: "", now: "any time" } },
  ]);
});

test("the refusals are these", async () => {
  const texts = REFUSED.map(([what, text]) => {
    const { name, code, message, next } = refusalOf(text);
    return `${what}\n${code} (${name})\n${message}\n${next}\n`;
  });
  await expect(texts.join("\n")).toMatchFileSnapshot("refusals.golden.txt");
});

test("every refusal names line and column or the length, and what is expected, in plain characters", () => {
  for (const [what, text] of REFUSED) {
    const { message, next } = refusalOf(text);
    expect(message, what).toMatch(/^(?:Line \d+, column \d+: |The policy is too long: )[ -~]{10,}\.$/);
    expect(next, what).toMatch(/^[A-Z][ -~]{10,}$/);
  }
});

test("every refusal has a name of its own", () => {
  expect(new Set(REFUSED.map(([what]) => what)).size).toBe(REFUSED.length);
});

test.each([
  ["one document mark ahead", `---\n${EXAMPLE}`],
  ["lines that end with CR LF", EXAMPLE.replaceAll("\n", "\r\n")],
  ["flow style", '{"version": 1, "grants": [{"from": ["@a"], "to": [b], "services": [ssh]}]}'],
  ["sections with nothing in them", "version: 1\nowners:\ngroups:\ntags:\ngrants:\ntests:\n"],
  ["nothing but a version", "version: 1"],
  ["a group of nobody, a tag of nothing", "version: 1\ngroups: {a: []}\ntags: {b: , c: []}\n"],
  [
    "words that other schemas read as numbers and constants",
    'version: 1\ntags: {t: [010, 1e3, 0x1f, no, null, true, "1_000"]}',
  ],
  ["words of every object", "version: 1\ntags: {constructor: [constructor], tostring: [a]}"],
  [
    "letters of people in a name",
    "version: 1\ngrants: [{name: Überwachung für 東京, from: ['@a'], to: [b], services: [ssh]}]",
  ],
])("%s is a policy", (_, text) => {
  expect(policyOf(text)).toMatchObject({ grants: expect.anything() });
});

test("a word is taken as it stands, whatever YAML's other schemas would make of it", () => {
  const { tags } = policyOf("version: 1\ntags: {t: [010, 1e3, 0x1f, no, null, true]}");
  expect([...(tags.get("t")?.devices ?? [])]).toEqual(["010", "1e3", "0x1f", "no", "null", "true"]);
});

test("the longest policy is taken, one byte more is not, counted as the statement holds it", () => {
  const filled = (bytes: number): string => {
    const start = 'version: 1\n# "\n#';
    return start + "x".repeat(bytes - Buffer.byteLength(JSON.stringify(start)));
  };
  expect(policyOf(filled(POLICY_BYTES)).grants).toEqual([]);
  expect(refusalOf(filled(POLICY_BYTES + 1)).message).toBe(`The policy is too long: ${POLICY_BYTES + 1} bytes.`);
  expect(refusalOf("é".repeat(POLICY_BYTES)).code).toBe("E_POLICY");
});

// The library alone overflows the stack on some of these, within a regular expression, which ends the whole process.
test.each([
  ["[", 7000],
  ["{", 7000],
  ["{a: ", 1700],
  ["[[{", 2300],
  ["a: ", 2300],
  ["- ", 3500],
  ["? ", 3500],
  [": ", 3500],
  ["- [", 2300],
  ["[", 100_000],
  ["- ", 100_000],
  ["{a: ", 100_000],
])("%j nested %d times is refused without being composed", (open, times) => {
  const spent = processorMs(() => {
    expect(refusalOf(open.repeat(times)).message).toMatch(/nested deeper than 8|too long|explicit key/);
  });
  expect(spent).toBeLessThan(1000);
});

test.each([
  [
    "aliases that double",
    `a: &a [x, x]\n${"bcdefghij"
      .split("")
      .map((to, i) => `${to}: &${to} [*${"abcdefghi"[i]}, *${"abcdefghi"[i]}]`)
      .join("\n")}`,
  ],
  ["a map that is merged", "base: &base {services: [ssh]}\ngrants: [{<<: *base}]"],
  ["an alias that holds itself", "&a [*a]"],
])("%s are refused at the first anchor", (_, text) => {
  expect(refusalOf(text).message).toMatch(/^Line 1, column \d+: an anchor of YAML stands here\.$/);
});

test("keys that would change every object change none, and are refused", () => {
  for (const key of ["__proto__", "constructor", "prototype"]) {
    expect(refusalOf(`version: 1\n${key}: {polluted: true}\n`).message).toContain(`no field "${key}"`);
    expect(refusalOf(`version: 1\ngrants: [{${key}: {polluted: true}}]\n`).message).toContain(`no field "${key}"`);
  }
  expect(refusalOf("version: 1\ngroups: {__proto__: ['@acme']}\n").message).toContain('"__proto__" is no name');
  const { groups } = policyOf("version: 1\ngroups: {constructor: ['@acme']}\n");
  expect(groups.get("constructor")).toEqual({ members: new Set(["@acme"]) });
  expect(refusalOf("version: 1\ngrants: [{from: ['group:constructor'], to: [a], services: [ssh]}]").message).toContain(
    'there is no group "constructor"',
  );
  expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
});

// CVE-2026-47722: what is put into one value of a YAML text must not become a field.
const INJECTED = [
  'x\n    to: ["*"]',
  'x"\n    to: ["*"]',
  "x' \n to: ['*']",
  "x # \n",
  "x, to: ['*']",
  "x]\n- from",
  "x: y",
  "x\r\nto: y",
  "x\u0085to: y",
  "x\u2028to: y",
  "&x",
  "*x y",
  "!x",
  "| x",
  "{x: y}",
  "[x]",
  "? x",
  "- x",
  "% x",
  "x\0",
];

test.each(INJECTED.map((value) => [JSON.stringify(value), value] as const))(
  "%s in a value becomes no field",
  (_, value) => {
    for (const style of [JSON.stringify(value), `'${value.replaceAll("'", "''")}'`]) {
      const text = (to: string): string =>
        `version: 1\ngrants:\n  - name: ${style}\n    from: ["@acme"]\n    to: [${to}]\n    services: [ssh]\n`;
      let grants: ReturnType<typeof policyOf>["grants"];
      try {
        ({ grants } = policyOf(text("gw1")));
      } catch (error) {
        expect(error).toMatchObject({ code: "E_POLICY" });
        continue;
      }
      expect(grants).toHaveLength(1);
      expect(grants[0]?.to).toEqual([{ devices: new Set(["gw1"]), patterns: [] }]);
      // Quoted, a line end within a text is a space.
      expect(grants[0]?.name).toBe(value.replace(/[ \t]*\r?\n[ \t]*/g, " "));
    }
  },
);

test.each(INJECTED.map((value) => [JSON.stringify(value), value] as const))(
  "%s stands for nobody and for nothing",
  (_, value) => {
    const quotedValue = JSON.stringify(value);
    for (const [field, others] of [
      ["from", "to: [gw1], services: [ssh]"],
      ["to", 'from: ["@acme"], services: [ssh]'],
      ["services", 'from: ["@acme"], to: [gw1]'],
      ["logins", 'from: ["@acme"], to: [gw1], services: [ssh]'],
    ]) {
      const { message, next } = refusalOf(`version: 1\ngrants: [{${field}: [${quotedValue}], ${others}}]\n`);
      expect(`${message} ${next}`).toMatch(/^[ -~]+$/);
    }
  },
);

test("a zone that this platform does not know is refused to the writer; whoever must obey it never sees its hours", () => {
  const text = EXAMPLE.replace("Europe/Berlin", "Mars/Olympus_Mons");
  expect(refusalOf(text).message).toBe('Line 15, column 12: there is no time zone "Mars/Olympus_Mons".');
  const policy = parsePolicy(text, { unknownZones: "never hold" });
  for (const at of ["2026-12-01T10:00Z", "2026-12-05T23:00Z", "1970-01-01T00:00Z"]) {
    expect(decide(policy, requestOf(`@acme/alice gw1 ssh pi ${at}`))).toEqual({ allowed: false, missing: "time" });
  }
  expect(decide(policy, requestOf("@vendor/x meter tcp:127.0.0.1:502 - 2026-12-01T10:00Z"))).toMatchObject({
    allowed: true,
  });
});

test("a zone must have the form of one even for whoever must obey it", () => {
  for (const zone of [
    "CET",
    "+01:00",
    "europe/berlin",
    "Europe/../Berlin",
    "Europe/Berlin/",
    "",
    "Europe/Ber\\u006cin2:",
  ]) {
    const text = `version: 1\ngrants: [{from: ["@a"], to: [b], services: [ssh], hours: "07:00-19:00 ${zone}"}]`;
    expect(() => parsePolicy(text, { unknownZones: "never hold" }), zone).toThrow(/is no time zone|are no hours/);
  }
});

test("a policy means the same in block style, in flow style, and with other quotes and indentation", () => {
  fc.assert(
    fc.property(plainPolicy, (plain) => {
      const meaning = (text: string): unknown => {
        const { grants, ...rest } = policyOf(text);
        return { ...rest, grants: grants.map((grant) => ({ ...grant, line: 0 })) };
      };
      const flow = meaning(printPlain(plain));
      expect(meaning(stringify(plain))).toEqual(flow);
      expect(
        meaning(stringify(plain, { indent: 4, defaultStringType: "QUOTE_SINGLE", defaultKeyType: "PLAIN" })),
      ).toEqual(flow);
      expect(meaning(stringify(plain, { indentSeq: false, lineWidth: 0 }))).toEqual(flow);
      expect(meaning(stringify(plain).replaceAll("\n", "\r\n"))).toEqual(flow);
    }),
  );
});

test("whatever is put into a policy is parsed, or refused with E_POLICY in plain characters", () => {
  const pieces = fc.constantFrom(
    ..."version: 1|\n|grants:|  - |- |from|: |[|]|{|}|,|\"|'|@acme|group:a|#|&a|*a|!!x|---|...|%|?|\u0000|\u001f|\u0002|\ufeff|\u202e|\ud800|ssh|  |\t|\r|>|\\|\\u0000".split(
      "|",
    ),
    "|",
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: "binary" }),
        fc.array(pieces, { maxLength: 40 }).map((list) => list.join("")),
      ),
      (text) => {
        try {
          policyOf(text);
        } catch (error) {
          if (!(error instanceof SetupError) || !/^[ -~]+$/.test(`${error.message}${error.next ?? ""}`)) throw error;
          expect(error.code).toBe("E_POLICY");
        }
      },
    ),
    { numRuns: 2000 },
  );
});
