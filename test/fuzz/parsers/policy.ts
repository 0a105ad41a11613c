import * as fc from "fast-check";
import { isDeepStrictEqual } from "node:util";
import { stringify } from "yaml";
import { decide } from "../../../protocol/policy/decide.ts";
import { diffAccess } from "../../../protocol/policy/diff.ts";
import { endOfHours, WEEK_MINUTES } from "../../../protocol/policy/hours.ts";
import { parseInstant } from "../../../protocol/policy/instant.ts";
import { parsePolicy } from "../../../protocol/policy/parse.ts";
import { parseHours } from "../../../protocol/policy/parse-hours.ts";
import type { Policy } from "../../../protocol/policy/policy.ts";
import { runPolicyTests, testLines } from "../../../protocol/policy/policy-tests.ts";
import { printHours } from "../../../protocol/policy/print-hours.ts";
import { explainRefusal } from "../../../protocol/policy/refusal.ts";
import { findZone, isZoneName } from "../../../protocol/policy/zone.ts";
import { EXAMPLE, requestOf } from "../../protocol/policy/examples.ts";
import { hours, plainPolicy, ZONES } from "../../protocol/policy/reference.ts";
import { words } from "../mutation.ts";
import { type Parser, textParser } from "../subject.ts";

const PRINTABLE = /^[ -~]*$/;
const POSITION = { line: 1, column: 1 };
const REQUESTS = [
  "@acme/alice gw1 ssh pi 2026-12-01T10:00Z",
  "@vendor/x meter tcp:10.0.0.7:1",
  "@vendor/x gw-a ssh -",
].map((line) => requestOf(line));
/** Whom no sample names. Whoever is mutated into this name is let in by right. */
const STRANGER = requestOf("@stranger-of-all/x gw1 ssh pi");

const policyText = fc.oneof(
  fc.constant(EXAMPLE),
  plainPolicy.map((policy) => JSON.stringify(policy)),
  plainPolicy.map((policy) => stringify(policy)),
);

const POLICY_WORDS = words(
  ...'version:|groups:|tags:|grants:|tests:|owners:|- |  |\n  - |: |, |&a |*a|<<: *a|!!str |!x |--- \n|...\n|%YAML 1.1\n|? || |> |[[[[[[[[|{a: {a: |# |\'|"|@acme|"@acme/alice"|group:|tag:|"*"|ssh|tcp:*:*|logins: [pi]|hours: |expires: 2027-01-31|expect: allow|at: |"\\0"|"\\u202e"|\u200b|\ufeff|\u001f|\u0002|\u0018'
    .split("|")
    .filter((text) => text !== ""),
);

export const POLICY_PARSERS: readonly Parser[] = [
  {
    name: "policy",
    covers: [
      "protocol/policy/parse.ts#parsePolicy",
      "protocol/policy/yaml-tree.ts#readYamlTree",
      "protocol/policy/parse-grant.ts#parseGrant",
      "protocol/policy/parse-grant.ts#parseLogin",
      "protocol/policy/parse-grant.ts#parseTime",
      "protocol/policy/parse-policy-test.ts#parsePolicyTest",
      "protocol/policy/parse-services.ts#parseOneService",
      "protocol/policy/parse-services.ts#parseServicePattern",
      "protocol/policy/parse-sets.ts#parseFrom",
      "protocol/policy/parse-sets.ts#parseGroups",
      "protocol/policy/parse-sets.ts#parseOneClient",
      "protocol/policy/parse-sets.ts#parseOneDevice",
      "protocol/policy/parse-sets.ts#parseTags",
      "protocol/policy/parse-sets.ts#parseTo",
    ],
    share: 0.1,
    because: "a policy takes many times as long as other texts, and its parts have rows of their own",
    make: () =>
      textParser({
        samples: policyText,
        parse: (text) => parsePolicy(text, { unknownZones: "never hold" }),
        holds: (policy, text) => text.length <= 7168 && isSound(policy),
        words: POLICY_WORDS,
      }),
  },
  {
    name: "hours of a policy",
    covers: ["protocol/policy/parse-hours.ts#parseHours"],
    make: () =>
      textParser({
        samples: hours,
        parse: (text) => parseHours(text, POSITION, "never hold"),
        holds: (parsed) => {
          const last = parsed.week.at(-1);
          const again = parseHours(printHours(parsed), POSITION, "never hold");
          return last !== undefined && last[1] <= WEEK_MINUTES && isDeepStrictEqual(again.week, parsed.week);
        },
        words: words(..."mon |mon-fri |sat,sun |00:00-24:00|22:00-06:00, | UTC| Europe/Berlin|24:00|,|-".split("|")),
      }),
  },
  {
    name: "moment of a policy",
    covers: ["protocol/policy/instant.ts#parseInstant"],
    make: () =>
      textParser({
        samples: fc
          .tuple(
            fc.integer({ min: Date.UTC(2000, 0, 2), max: Date.UTC(2999, 11, 30) }),
            fc.constantFrom("Z", "+01:00", "-11:30"),
            fc.constantFrom(10, 16, 19),
          )
          .map(([time, zone, length]) => {
            const text = new Date(time).toISOString().slice(0, length);
            return length === 10 ? text : `${text}${zone}`;
          }),
        parse: (text) => parseInstant(text),
        holds: (time, text) => time === Date.parse(text),
        words: words("2027-01-31", "T18:00", "Z", "+01:00", "-24:00", ":60", "02-29"),
      }),
  },
  {
    name: "name of a time zone",
    covers: ["protocol/policy/zone.ts#isZoneName"],
    make: () =>
      textParser({
        samples: fc.constantFrom(...ZONES, "America/Argentina/Buenos_Aires", "Etc/GMT+1", "America/Port-au-Prince"),
        parse: (text) => isZoneName(text) && { zone: findZone(text) },
        holds: ({ zone }, text) => PRINTABLE.test(text) && Number.isFinite(zone?.(0) ?? 0),
        words: words("/", "UTC", "Europe/", "../", "+01:00", "GMT"),
      }),
  },
];

/** All that is made of a policy is made without an error, in plain characters, and lets no stranger in. */
function isSound(policy: Policy): boolean {
  const told = [STRANGER, ...REQUESTS].map((request) => explainRefusal(policy, request)?.reason ?? "");
  const lines = [...told, ...testLines(runPolicyTests(policy))];
  const ends = policy.grants.every(
    ({ hours: some }) => some === undefined || !Number.isNaN(endOfHours(some, 1e12) ?? 0),
  );
  const isStranger = JSON.stringify(policy.grants.map(({ from }) => from.map(({ members }) => [...members]))).includes(
    "@stranger",
  );
  return (
    ends &&
    lines.every((line) => PRINTABLE.test(line)) &&
    (isStranger || !decide(policy, STRANGER).allowed) &&
    diffAccess(policy, policy).length === 0
  );
}
