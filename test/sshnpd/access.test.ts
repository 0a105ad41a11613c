import { expect, test } from "vitest";
import { type Name, parseName } from "../../keys/names.ts";
import { REASON_BYTES } from "../../protocol/limits.ts";
import { decideAccess, type Standing } from "../../sshnpd/access.ts";

const alice: Name = parseName("@alice");
const STANDINGS: readonly Standing[] = ["unlisted", "unresolved", "known"];
const SERVICES = ["ssh", "tcp:127.0.0.1:22", "tcp:10.0.0.1:5432", "tcp:169.254.169.254:80", "SSH", "ssh ", "", "exec"];

const TABLE = STANDINGS.flatMap((standing) => SERVICES.map((service) => [standing, service] as const));

test.each(TABLE)("%s, %j: only a known client gets ssh, and nothing else", (standing, service) => {
  expect(decideAccess(alice, standing, service).allowed).toBe(standing === "known" && service === "ssh");
});

test.each([
  ["unlisted", "ssh", "it does not list @alice; on the device: sshnpd -m @alice ..."],
  [
    "unresolved",
    "ssh",
    "it lists @alice but has not learnt yet which owner key that is; it asks the directory by itself, or on the device: sshnpd -m @alice=SHA256:...",
  ],
  ["known", "tcp:127.0.0.1:22", "it grants @alice ssh and nothing else"],
] as const)("%s, %s: the reason says what can be done and names nobody else", (standing, service, reason) => {
  expect(decideAccess(alice, standing, service)).toEqual({ allowed: false, reason });
  expect(reason.match(/@[a-z]+/g)?.every((name) => name === "@alice")).toBe(true);
});

test("a reason about the longest name fits where reasons go", () => {
  const longest = parseName(`@${"a".repeat(32)}`);
  for (const standing of STANDINGS) {
    const decision = decideAccess(longest, standing, "tcp:a:1");
    expect(decision.allowed ? "" : decision.reason).toSatisfy((reason: string) => reason.length <= REASON_BYTES);
  }
});
