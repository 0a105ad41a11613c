import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { MemberName } from "../../../keys/names.ts";
import { REASON_BYTES } from "../../../protocol/limits.ts";
import { decide } from "../../../protocol/policy/decide.ts";
import { explainRefusal } from "../../../protocol/policy/refusal.ts";
import { parseService } from "../../../protocol/service.ts";
import { policyOf, requestOf } from "./examples.ts";
import { clientOf, grantsThatAllow, plainPolicy, plainRequest, printPlain } from "./reference.ts";

const POLICY = policyOf(`version: 1
groups:
  secret-project: ["@acme/alice", "@rival/spy"]
tags:
  hidden-site: [gw1, gw2, "gw-*"]
grants:
  - name: words of the owner alone
    from: [group:secret-project]
    to: [tag:hidden-site]
    services: [ssh, tcp:127.0.0.1:80]
    logins: [pi, root]
  - from: ["@acme/alice"]
    to: [meter]
    services: [ssh]
    hours: mon-fri 07:00-19:00 Europe/Berlin
  - from: ["@acme/alice"]
    to: [attic]
    services: [ssh]
    expires: 2026-11-30T12:00Z
  - from: ["@acme/bob"]
    to: [vault]
    services: [ssh]
`);

// 2026-12-05 is a Saturday.
test.each([
  ["@acme/alice vault ssh pi", "the policy does not let @acme/alice reach vault; it may reach: gw1, gw2, gw-*"],
  ["@acme/alice nowhere ssh pi", "the policy does not let @acme/alice reach nowhere; it may reach: gw1, gw2, gw-*"],
  ["@other/x vault ssh pi", "the policy does not let @other/x reach vault"],
  ["@other/x nowhere ssh pi", "the policy does not let @other/x reach nowhere"],
  [
    "@acme/alice gw1 tcp:10.0.0.1:5432",
    "the policy does not let @acme/alice use tcp:10.0.0.1:5432 on gw1; it may use: ssh, tcp:127.0.0.1:80",
  ],
  ["@acme/alice gw1 ssh admin", "the policy does not let @acme/alice use ssh on gw1 as admin; it may as: pi, root"],
  [
    "@acme/alice gw1 ssh -",
    "the policy does not let @acme/alice use ssh on gw1 without naming a login; it may as: pi, root",
  ],
  [
    "@acme/alice meter ssh pi",
    "the policy does not let @acme/alice use ssh on meter now; it may: mon-fri 07:00-19:00 Europe/Berlin",
  ],
  ["@acme/alice attic ssh pi", "the policy let @acme/alice use ssh on attic until 2026-11-30 12:00 UTC"],
])("%s: %s", (line, reason) => {
  const [client, device, service, login = "-"] = line.split(" ");
  const refusal = explainRefusal(POLICY, requestOf(`${client} ${device} ${service} ${login} 2026-12-05T10:00Z`));
  expect(refusal?.reason).toBe(reason);
});

test("what may be done instead is what is granted at that time, apart by kind", () => {
  const at = (time: string) => explainRefusal(POLICY, requestOf(`@acme/alice vault ssh pi ${time}`));
  expect(at("2026-12-05T10:00Z")?.devices).toEqual(["gw1", "gw2", "gw-*"]);
  expect(at("2026-12-04T10:00Z")?.devices).toEqual(["gw1", "gw2", "gw-*", "meter"]);
  expect(at("2026-11-30T11:00Z")?.devices).toEqual(["gw1", "gw2", "gw-*", "meter", "attic"]);
  expect(explainRefusal(POLICY, requestOf("@acme/alice gw1 ssh admin"))).toMatchObject({
    missing: "login",
    services: ["ssh", "tcp:127.0.0.1:80"],
    logins: ["pi", "root"],
  });
  expect(explainRefusal(POLICY, requestOf("@acme/bob vault tcp:a:1"))).toMatchObject({
    missing: "service",
    logins: undefined,
  });
});

test("a device that others may reach is refused in the words for one that does not exist", () => {
  for (const client of ["@other/x", "@rival/spy", "@acme/alice"]) {
    const refusals = ["vault", "nowhere"].map((device) => {
      const refusal = explainRefusal(POLICY, requestOf(`${client} ${device} ssh pi 2026-12-05T10:00Z`));
      return JSON.stringify(refusal).replaceAll(device, "DEVICE");
    });
    expect(refusals[0]).toBe(refusals[1]);
  }
});

test("a refusal tells of nobody else, and never in the owner's words", () => {
  const asked = ["@acme/alice", "@acme/bob", "@rival/spy", "@other/x"].flatMap((client) =>
    ["gw1", "meter", "attic", "vault", "nowhere"].flatMap((device) =>
      ["ssh pi", "ssh admin", "tcp:10.0.0.1:1 -"].map((rest) => ({
        client,
        line: `${client} ${device} ${rest} 2026-12-05T10:00Z`,
      })),
    ),
  );
  for (const { client, line } of asked) {
    const told = JSON.stringify(explainRefusal(POLICY, requestOf(line)) ?? "");
    for (const secret of [
      "secret-project",
      "hidden-site",
      "words of the owner",
      "@acme/alice",
      "@acme/bob",
      "@rival",
    ]) {
      if (!client.includes(secret)) expect(told).not.toContain(secret);
    }
  }
});

test("the longest words leave a reason within its bound", () => {
  const long = "x".repeat(36);
  const host = `${"h".repeat(250)}.no`;
  const policy = policyOf(
    `version: 1\ngrants:\n  - from: ["@${"a".repeat(32)}"]\n    to: ["*"]\n    services: [ssh, tcp:${"g".repeat(253)}:65535, ${Array.from({ length: 200 }, (_, i) => `tcp:host-${i}.example.org:8080`).join(", ")}]\n    logins: [${"l".repeat(32)}]\n`,
  );
  const lines = [`ssh ${"m".repeat(32)}`, "ssh -", `tcp:${host}:65535 -`].map(
    (rest) => `@${"a".repeat(32)}/${long} ${long} ${rest}`,
  );
  for (const line of lines) {
    const { reason = "" } = explainRefusal(policy, requestOf(line)) ?? {};
    expect(reason).toMatch(/^[ -~]{20,}$/);
    expect(reason.length).toBeLessThanOrEqual(REASON_BYTES);
  }
  expect(explainRefusal(policy, requestOf(`@${"a".repeat(32)}/b c tcp:d:1`))?.reason).toMatch(/ and \d+ more$/);
});

test("whatever is refused is explained, and whatever is named instead is granted", () => {
  let named = 0;
  fc.assert(
    fc.property(plainPolicy, plainRequest, (plain, request) => {
      const policy = policyOf(printPlain(plain));
      const asked = {
        client: clientOf(request.client),
        device: request.device as MemberName,
        service: parseService(request.service),
        login: request.login,
        now: request.now,
      };
      const refusal = explainRefusal(policy, asked);
      const decision = decide(policy, asked);
      expect(refusal === undefined).toBe(decision.allowed);
      if (refusal === undefined || decision.allowed) return;
      expect(decision.missing === "time" ? ["hours", "expired"] : [decision.missing]).toContain(refusal.missing);
      expect(refusal.reason).toMatch(/^[ -~]{20,512}$/);
      for (const service of refusal.services.filter((text) => !text.includes("*"))) {
        const logins = service === "ssh" ? (refusal.logins ?? [""]) : [""];
        for (const login of logins) {
          named++;
          expect(grantsThatAllow(plain, { ...request, service, login })).not.toEqual([]);
        }
      }
    }),
    { numRuns: 400 },
  );
  expect(named).toBeGreaterThan(40);
});
