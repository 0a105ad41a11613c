import { expect, test } from "vitest";
import { refuseFailedTests, runPolicyTests, testLines } from "../../../protocol/policy/policy-tests.ts";
import { EXAMPLE, policyOf } from "./examples.ts";

const tested = (...tests: readonly string[]) =>
  policyOf(`${EXAMPLE.slice(0, EXAMPLE.indexOf("tests:"))}tests:\n${tests.map((text) => `  - {${text}}\n`).join("")}`);

const ALICE = 'from: "@acme/alice", to: gw1, service: ssh';

test("the tests of a good policy pass, each with a line", () => {
  const policy = policyOf(EXAMPLE);
  expect(testLines(runPolicyTests(policy))).toEqual([
    "ok   test 1 (line 22) expects allow for @acme/alice and ssh on gw1 as pi at 2026-12-01 10:00 UTC: grant 1 allows it",
    "ok   test 2 (line 28) expects deny for @vendor/x and ssh on gw1: no grant has both this client and this device",
  ]);
  expect(() => refuseFailedTests(policy)).not.toThrow();
});

test.each([
  [`${ALICE}, login: pi, expect: allow`, true],
  [`${ALICE}, login: pi, expect: deny`, false],
  [`${ALICE}, login: admin, expect: deny`, true],
  // A test that names no login asks as a request does that names none.
  [`${ALICE}, expect: deny`, true],
  [`${ALICE}, expect: allow`, false],
  // Without a time, hours and expiry do not count; with one, both do.
  [`${ALICE}, login: pi, at: 2026-12-05T10:00Z, expect: deny`, true],
  [`${ALICE}, login: pi, at: 2027-02-01T10:00Z, expect: deny`, true],
  [`${ALICE}, login: pi, at: 2027-02-01T10:00Z, expect: allow`, false],
  ['from: "@vendor/x", to: meter, service: "tcp:10.0.0.7:1", expect: allow', true],
  ['from: "@vendor/x", to: meter, service: "tcp:10.0.0.8:1", expect: allow', false],
])("{%s} passes: %s", (text, passed) => {
  expect(runPolicyTests(tested(text))).toMatchObject([{ number: 1, passed }]);
});

test("a policy whose tests fail is refused with the first one and the number of others", () => {
  const fails = `${ALICE}, login: admin, expect: allow`;
  expect(() => refuseFailedTests(tested(`${ALICE}, login: pi, expect: allow`, fails))).toThrow(
    expect.objectContaining({
      code: "E_POLICY",
      message:
        "A test of the policy fails: test 2 (line 23) expects allow for @acme/alice and ssh on gw1 as admin: no grant of theirs has the login.",
      next: "Correct the grants, or the test if it expects too much.",
    }),
  );
  expect(() => refuseFailedTests(tested(fails, fails))).toThrow(/login\. 1 more fails\.$/);
  expect(() => refuseFailedTests(tested(fails, fails, fails))).toThrow(/login\. 2 more fail\.$/);
});

test("the lines of failures say what was found", () => {
  const policy = tested(
    `${ALICE}, login: pi, expect: deny`,
    'from: "@vendor/x", to: meter, service: ssh, expect: allow',
    `${ALICE}, login: pi, at: 2026-12-05T10:00Z, expect: allow`,
  );
  expect(testLines(runPolicyTests(policy))).toEqual([
    "FAIL test 1 (line 22) expects deny for @acme/alice and ssh on gw1 as pi: grant 1 allows it",
    "FAIL test 2 (line 23) expects allow for @vendor/x and ssh on meter: no grant of theirs has the service",
    "FAIL test 3 (line 24) expects allow for @acme/alice and ssh on gw1 as pi at 2026-12-05 10:00 UTC: their grant does not hold then",
  ]);
});
