import { SetupError } from "../../keys/errors.ts";
import { decide, type Decision } from "./decide.ts";
import { printInstant } from "./instant.ts";
import { printService } from "./patterns.ts";
import type { Policy, PolicyTest } from "./policy.ts";

export interface PolicyTestResult {
  /** Its place among the tests, from 1. */
  readonly number: number;
  readonly test: PolicyTest;
  readonly decision: Decision;
  readonly passed: boolean;
}

/** Runs the tests of a policy against its grants. The clock plays no part: a test without `at` asks for any time. */
export function runPolicyTests(policy: Policy): PolicyTestResult[] {
  return policy.tests.map((test, i) => {
    const decision = decide(policy, test.request);
    return { number: i + 1, test, decision, passed: decision.allowed === (test.expect === "allow") };
  });
}

/** One line for each result: `ok   test 1 (line 24) expects the policy to allow ...: grant 1 allows it`. */
export function testLines(results: readonly PolicyTestResult[]): string[] {
  return results.map(({ passed, ...result }) => `${passed ? "ok  " : "FAIL"} ${describe(result)}`);
}

/** What must be asked before a policy is signed, and again before it is taken in. @throws {SetupError} E_POLICY. */
export function refuseFailedTests(policy: Policy): void {
  const failed = runPolicyTests(policy).filter(({ passed }) => !passed);
  const [first] = failed;
  if (first === undefined) return;
  const others = failed.length > 1 ? ` ${failed.length - 1} more ${failed.length > 2 ? "fail" : "fails"}.` : "";
  throw new SetupError("E_POLICY", `A test of the policy fails: ${describe(first)}.${others}`, {
    next: "Correct the grants, or the test if it expects too much.",
  });
}

function describe({ number, test, decision }: Omit<PolicyTestResult, "passed">): string {
  const { client, device, service, login, now } = test.request;
  const as = login === "" ? "" : ` as ${login}`;
  const at = now === "any time" ? "" : ` at ${printInstant(now)}`;
  const asked = `${client.name}/${client.member} and ${printService(service)} on ${device}${as}${at}`;
  const found = decision.allowed ? `grant ${decision.grant.number} allows it` : LACKS[decision.missing];
  return `test ${number} (line ${test.line}) expects ${test.expect} for ${asked}: ${found}`;
}

const LACKS = {
  device: "no grant has both this client and this device",
  service: "no grant of theirs has the service",
  login: "no grant of theirs has the login",
  time: "their grant does not hold then",
} as const;
