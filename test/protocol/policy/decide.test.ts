import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { MemberName } from "../../../keys/names.ts";
import { decide, mayAsk } from "../../../protocol/policy/decide.ts";
import type { AccessRequest } from "../../../protocol/policy/policy.ts";
import { parseService } from "../../../protocol/service.ts";
import { policyOf, requestOf } from "./examples.ts";
import { clientOf, grantsThatAllow, type PlainRequest, plainPolicy, plainRequest, printPlain } from "./reference.ts";

const POLICY = policyOf(`version: 1
groups:
  operators: ["@acme/alice", "@acme/bob"]
  vendors: ["@vendor"]
  nobody: []
tags:
  gateways: [gw1, gw2, "gw-*"]
  nothing: []
grants:
  - from: [group:operators]                    # 1
    to: [tag:gateways]
    services: [ssh]
    logins: [pi, root]
    hours: mon-fri 07:00-19:00 Europe/Berlin
    expires: 2027-01-31
  - from: [group:vendors, "@acme/bob"]         # 2
    to: [meter, "m-*-x"]
    services: [tcp:127.0.0.1:502, "tcp:10.0.0.7:*", "tcp:*:8080", "tcp:[fd00::1]:80"]
  - from: ["@acme"]                            # 3
    to: ["*"]
    services: [ssh]
    logins: [guest]
    hours: sat,sun 22:00-06:00 Europe/Berlin
  - from: ["@night/shift"]                     # 4
    to: [gw1]
    services: [ssh]
    expires: 2026-12-01T12:00:00+01:00
  - from: ["@night/shift"]                     # 5
    to: [gw1]
    services: [ssh]
    hours: 11:00-13:00 UTC
  - from: [group:nobody]                       # 6
    to: ["*"]
    services: [ssh, "tcp:*:*"]
  - from: ["@acme/carol"]                      # 7
    to: [tag:nothing]
    services: [ssh, "tcp:*:*"]
  - from: ["@contract/x"]                      # 8
    to: [gw1]
    services: [ssh]
    expires: 2026-12-01
`);

// Who asks for what and when; then the grant that allows it and until when, or what is missing.
// 2026-12-01 is a Tuesday.
const DECISIONS = `
@acme/alice  gw1     ssh               pi    2026-12-01T10:00Z     1 2026-12-01T18:00Z
@acme/alice  gw1     ssh               root  2026-12-01T10:00Z     1 2026-12-01T18:00Z
@acme/alice  gw-7    ssh               pi    2026-12-01T10:00Z     1 2026-12-01T18:00Z
@acme/alice  gw1     ssh               pi    any                   1 never
@acme/alice  gw1     ssh               pi    2026-12-01T06:00Z     1 2026-12-01T18:00Z
@acme/alice  gw1     ssh               pi    2026-12-01T05:59Z     time
@acme/alice  gw1     ssh               pi    2026-12-01T17:59Z     1 2026-12-01T18:00Z
@acme/alice  gw1     ssh               pi    2026-12-01T18:00Z     time
@acme/alice  gw1     ssh               pi    2026-07-01T05:00Z     1 2026-07-01T17:00Z
@acme/alice  gw1     ssh               pi    2026-07-01T17:00Z     time
@acme/alice  gw1     ssh               pi    2026-12-05T10:00Z     time
@acme/alice  gw1     ssh               pi    2027-01-29T10:00Z     1 2027-01-29T18:00Z
@acme/alice  gw1     ssh               pi    2027-02-01T10:00Z     time
@acme/alice  gw1     ssh               -     2026-12-01T10:00Z     login
@acme/alice  gw1     ssh               admin 2026-12-01T10:00Z     login
@acme/alice  gw1     ssh               admin any                   login
@acme/alice  gw1     tcp:127.0.0.1:22  -     2026-12-01T10:00Z     service
@acme/alice  gw1     tcp:127.0.0.1:22  pi    2026-12-01T10:00Z     service
@acme/alice  gw      ssh               pi    2026-12-01T10:00Z     login
@acme/alice  gw3     ssh               pi    2026-12-01T10:00Z     login
@acme/alice  gw3     ssh               guest 2026-12-01T10:00Z     time
@acme/alice  gw3     ssh               guest 2026-12-05T22:00Z     3 2026-12-06T05:00Z
@acme/alice  gw3     ssh               guest 2026-12-06T22:00Z     3 2026-12-07T05:00Z
@acme/alice  gw3     ssh               guest 2026-12-06T12:00Z     time
@acme/alice  gw3     ssh               guest 2026-12-07T22:00Z     time
@acme/alice  meter   tcp:127.0.0.1:502 -     2026-12-01T10:00Z     service
@acme/bob    meter   tcp:127.0.0.1:502 -     2026-12-01T10:00Z     2 never
@acme/carol  gw1     ssh               pi    2026-12-01T10:00Z     login
@acme/carol  gw1     tcp:127.0.0.1:80  -     2026-12-01T10:00Z     service
@vendor/x    meter   tcp:127.0.0.1:502 -     2026-12-01T10:00Z     2 never
@vendor/y    m-1-x   tcp:10.0.0.7:1    -     2026-12-01T10:00Z     2 never
@vendor/y    m-1-x   tcp:10.0.0.7:65535 -    2026-12-01T10:00Z     2 never
@vendor/y    m-1-x   tcp:10.0.0.70:1   -     2026-12-01T10:00Z     service
@vendor/y    m-1-x   tcp:10.0.0.9:8080 -     2026-12-01T10:00Z     2 never
@vendor/y    m-1-x   tcp:[fd00::1]:80  -     2026-12-01T10:00Z     2 never
@vendor/y    m-1-x   tcp:[fd00::2]:80  -     2026-12-01T10:00Z     service
@vendor/y    m-1-x   ssh               -     2026-12-01T10:00Z     service
@vendor/y    m-x     tcp:10.0.0.7:1    -     2026-12-01T10:00Z     device
@vendor/y    m--x    tcp:10.0.0.7:1    -     2026-12-01T10:00Z     2 never
@vendor/y    gw1     ssh               pi    2026-12-01T10:00Z     device
@vendors/x   meter   tcp:127.0.0.1:502 -     2026-12-01T10:00Z     device
@other/alice gw1     ssh               pi    2026-12-01T10:00Z     device
@night/shift gw1     ssh               pi    2026-12-01T10:59:59Z  4 2026-12-01T11:00Z
@night/shift gw1     ssh               pi    2026-12-01T11:00Z     5 2026-12-01T13:00Z
@night/shift gw1     ssh               pi    2026-11-30T11:00Z     4 2026-12-01T11:00Z
@night/shift gw1     ssh               pi    2026-12-01T13:00Z     time
@contract/x  gw1     ssh               pi    2026-11-30T23:59:59.999Z 8 2026-12-01T00:00Z
@contract/x  gw1     ssh               pi    2026-12-01T00:00Z     time
@night/other gw1     ssh               pi    2026-12-01T11:00Z     device
`;

test.each(
  DECISIONS.trim()
    .split("\n")
    .map((line) => line.split(/ +/)),
)(
  "%s %s %s %s at %s: %s %s",
  (client = "", device = "", service = "", login = "", at = "", outcome = "", until = "") => {
    const time = at === "any" ? "" : ` ${at}`;
    const decision = decide(POLICY, requestOf(`${client} ${device} ${service} ${login}${time}`));
    if (until === "") expect(decision).toEqual({ allowed: false, missing: outcome });
    else {
      expect(decision).toMatchObject({ allowed: true, grant: { number: Number(outcome) } });
      expect(decision).toHaveProperty("until", until === "never" ? undefined : Date.parse(until));
    }
  },
);

test("a policy without grants denies everything", () => {
  for (const text of ["version: 1", "version: 1\ngrants: []", 'version: 1\ngroups: {a: ["@acme"]}\ntags: {b: ["*"]}']) {
    expect(decide(policyOf(text), requestOf("@acme/alice gw1 ssh pi"))).toEqual({ allowed: false, missing: "device" });
  }
});

test("at a time that is no number nothing with an end is granted, and nothing else either", () => {
  for (const now of [Number.NaN, Infinity, -Infinity]) {
    for (const line of ["@acme/alice gw1 ssh pi", "@night/shift gw1 ssh pi", "@vendor/x meter tcp:127.0.0.1:502"]) {
      expect(decide(POLICY, { ...requestOf(line), now })).toEqual({ allowed: false, missing: "time" });
    }
  }
  for (const now of [8.64e15, 8.64e15 + 1, Number.MAX_VALUE, -8.64e15]) {
    expect(decide(POLICY, { ...requestOf("@acme/alice gw3 ssh pi"), now })).toMatchObject({ allowed: false });
  }
});

// CVE-2026-48113 (chisel): access was settled at the handshake, and every later channel went through.
test("each stream is decided by its own service, whatever was allowed before it", () => {
  const session = requestOf("@acme/alice gw1 ssh pi 2026-12-01T10:00Z");
  expect(decide(POLICY, session)).toMatchObject({ allowed: true });
  for (let port = 1; port <= 10_000; port++) {
    const stream = { ...session, service: parseService(`tcp:10.0.0.1:${port}`) };
    expect(decide(POLICY, stream).allowed).toBe(false);
  }
  expect(decide(POLICY, session)).toMatchObject({ allowed: true });
});

test("who may not ask for a device is whoever no grant names with it, whatever the hour", () => {
  const answers = [
    "@acme/alice gw1",
    "@vendor/x meter",
    "@night/shift gw1",
    "@vendor/x gw1",
    "@other/x gw1",
    "@night/x gw1",
  ].map((line) => {
    const { client, device } = requestOf(`${line} ssh`);
    return mayAsk(POLICY, client, device);
  });
  expect(answers).toEqual([true, true, true, false, false, false]);
});

function requestFrom({ client, device, service, login, now }: PlainRequest): AccessRequest {
  return { client: clientOf(client), device: device as MemberName, service: parseService(service), login, now };
}

test("it decides as a plain reading of the policy does, and ends when no grant goes on", () => {
  let allowed = 0;
  fc.assert(
    fc.property(plainPolicy, fc.array(plainRequest, { minLength: 20, maxLength: 20 }), (plain, requests) => {
      const policy = policyOf(printPlain(plain));
      for (const request of requests) {
        const decision = decide(policy, requestFrom(request));
        const allowing = grantsThatAllow(plain, request);
        expect(decision.allowed).toBe(allowing.length > 0);
        const asks = mayAsk(policy, clientOf(request.client), request.device as MemberName);
        if (!decision.allowed) {
          expect(asks).toBe(decision.missing !== "device");
          continue;
        }
        allowed++;
        expect(asks).toBe(true);
        expect(allowing).toContain(decision.grant.number);
        if (decision.until === undefined || request.now === "any time") continue;
        expect(decision.until).toBeGreaterThan(request.now);
        // Of the grants that hold now it is the last; and it holds up to the end that is named.
        expect(grantsThatAllow(plain, { ...request, now: decision.until - 1 })).toContain(decision.grant.number);
        expect(grantsThatAllow(plain, { ...request, now: decision.until })).not.toContain(decision.grant.number);
      }
    }),
    { numRuns: 300 },
  );
  expect(allowed).toBeGreaterThan(300);
});

test("a ping is allowed exactly while the policy allows anything at all, whatever login it names", () => {
  let allowed = 0;
  fc.assert(
    fc.property(plainPolicy, fc.array(plainRequest, { minLength: 20, maxLength: 20 }), (plain, requests) => {
      const policy = policyOf(printPlain(plain));
      const services = plain.grants.flatMap((grant) => grant.services.map((one) => one.replaceAll("*", "1")));
      const logins = plain.grants.flatMap((grant) => grant.logins ?? []);
      for (const { login, ...request } of requests) {
        const decision = decide(policy, requestFrom({ ...request, login, service: "ping" }));
        const anything = services.flatMap((service) =>
          ["", ...logins].flatMap((as) => grantsThatAllow(plain, { ...request, service, login: as })),
        );
        expect(decision.allowed).toBe(anything.length > 0);
        if (decision.allowed) allowed++;
      }
    }),
    { numRuns: 200 },
  );
  expect(allowed).toBeGreaterThan(200);
});

test("a grant more never takes anything away", () => {
  fc.assert(
    fc.property(plainPolicy, plainPolicy, plainRequest, (plain, more, request) => {
      const both = { ...plain, grants: [...plain.grants, ...more.grants] };
      const before = decide(policyOf(printPlain(plain)), requestFrom(request));
      const after = decide(policyOf(printPlain(both)), requestFrom(request));
      if (before.allowed) {
        expect(after.allowed && (after.until ?? Infinity) >= (before.until ?? Infinity)).toBe(true);
      }
    }),
  );
});

test("the largest policies are decided in moments, however they are written", () => {
  const largest = [
    // Many patterns in one tag that many grants name.
    `version: 1\ntags: {t: [${'"a*a*a*a*b*",'.repeat(250)}]}\ngrants:\n${'- {from: ["@a"],to: [tag:t],services: [ssh]}\n'.repeat(60)}`,
    // Many grants, each with hours of its own.
    `version: 1\ngrants:\n${Array.from({ length: 75 }, (_, i) => `- {from: ["@a"],to: ["*"],services: [ssh],hours: 00:${String(i % 60).padStart(2, "0")}-23:59 Europe/Berlin}\n`).join("")}`,
  ].map((text) => policyOf(text));
  for (const policy of largest) {
    const request = requestOf(`@a/a ${"a".repeat(36)} ssh pi 2026-12-01T10:00Z`);
    decide(policy, request);
    const started = performance.now();
    for (let i = 0; i < 20; i++) decide(policy, request);
    expect((performance.now() - started) / 20).toBeLessThan(50);
  }
});
