import { expect, test } from "vitest";
import { type Name, parseMember, parseName } from "../../keys/names.ts";
import { REASON_BYTES } from "../../protocol/limits.ts";
import { parsePolicy } from "../../protocol/policy/parse.ts";
import { type AccessQuestion, type AccessRules, decideAccess, type Standing } from "../../sshnpd/access.ts";
import { NOW } from "../protocol/fixtures.ts";

const alice: Name = parseName("@alice");
const STANDINGS: readonly Standing[] = ["unlisted", "unresolved", "known"];
const SERVICES = [
  "ssh",
  "ping",
  "tcp:127.0.0.1:22",
  "tcp:10.0.0.1:5432",
  "tcp:169.254.169.254:80",
  "SSH",
  "ssh ",
  "",
  "exec",
];
const LIST: AccessRules = { policy: undefined, hasList: true, permitOpen: new Set() };

const TABLE = STANDINGS.flatMap((standing) => SERVICES.map((service) => [standing, service] as const));

test.each(TABLE)(
  "without a policy, %s, %j: only a known client gets ssh and ping, and nothing else",
  (standing, service) => {
    expect(ask(LIST, { standing, service }).allowed).toBe(standing === "known" && ["ssh", "ping"].includes(service));
  },
);

test("without a policy, --permit-open grants a known client what it names, and not a bit more", () => {
  const rules = { ...LIST, permitOpen: new Set(["tcp:10.0.0.1:5432", "tcp:[fd00::1]:80"]) };
  for (const standing of STANDINGS) {
    for (const service of [...SERVICES, "tcp:[fd00::1]:80", "tcp:10.0.0.1:543", "tcp:10.0.0.11:5432"]) {
      const isNamed = service === "ssh" || service === "ping" || rules.permitOpen.has(service);
      expect(ask(rules, { standing, service }).allowed, service).toBe(standing === "known" && isNamed);
    }
  }
  expect(ask(rules, { service: "tcp:10.0.0.2:80" })).toEqual({
    allowed: false,
    code: "E_DEVICE_REFUSED",
    reason:
      "it grants @alice ssh and what its --permit-open names, nothing else; on the device: sshnpd --permit-open 10.0.0.2:80 ...",
  });
});

const BOTH = policy("{from: ['@alice/laptop'], to: [gw1], services: [ssh, 'tcp:10.0.0.1:5432'], logins: [pi]}");
const END = Date.UTC(2200, 0, 1);

test("with a policy, the policy grants, member, device, service and login; --permit-open and -m grant nothing", () => {
  const rules = { ...LIST, policy: BOTH, hasList: false, permitOpen: new Set(["tcp:10.0.0.9:80"]) };
  expect(ask(rules, {})).toEqual({ allowed: true, until: undefined });
  expect(ask(rules, { service: "tcp:10.0.0.1:5432", login: "" })).toEqual({ allowed: true, until: undefined });
  const refused: Partial<AccessQuestion>[] = [
    { client: { name: alice, member: parseMember("phone") } },
    { client: { name: parseName("@bob"), member: parseMember("laptop") } },
    { device: parseMember("gw2") },
    { service: "tcp:10.0.0.9:80" },
    { service: "tcp:10.0.0.1:5433" },
    { service: "SSH" },
    { login: "root" },
    { login: "" },
    { standing: "unresolved" },
    { now: Number.NaN, service: "" },
  ];
  for (const change of refused) {
    expect(ask(rules, change).allowed, JSON.stringify(change)).toBe(false);
    expect(ask({ ...rules, hasList: true }, change).allowed, JSON.stringify(change)).toBe(false);
  }
});

test("with a policy, a ping is for whoever may use anything now", () => {
  const grant = "{from: ['@alice/laptop'], to: [gw1], services: ['tcp:10.0.0.1:80'], expires: 2200-01-01}";
  const rules = { ...LIST, policy: policy(grant), hasList: false };
  expect(ask(rules, { service: "ping", login: "" })).toEqual({ allowed: true, until: END });
  expect(ask(rules, { service: "ssh" }).allowed).toBe(false);
  expect(ask(rules, { service: "ping", now: END })).toMatchObject({
    code: "E_POLICY",
    reason: "the policy let @alice/laptop use ping on gw1 until 2200-01-01 00:00 UTC",
  });
  expect(ask(rules, { service: "ping", device: parseMember("gw2") }).allowed).toBe(false);
  expect(ask({ ...rules, hasList: true }, { service: "ping", standing: "unlisted" }).allowed).toBe(false);
});

test("with a policy and any -m, a client must be in both", () => {
  const rules = { ...LIST, policy: BOTH };
  expect(ask(rules, {}).allowed).toBe(true);
  expect(ask(rules, { standing: "unlisted" })).toEqual({
    allowed: false,
    code: "E_DEVICE_REFUSED",
    reason: "it does not list @alice; on the device: sshnpd -m @alice ... (the policy has to grant it as well)",
  });
  expect(ask({ ...LIST, policy: policy("{from: ['@bob'], to: [gw1], services: [ssh]}") }, {}).allowed).toBe(false);
});

test("with neither, and with a policy that cannot be read, nobody gets anything", () => {
  const none: AccessRules = { policy: undefined, hasList: false, permitOpen: new Set(["tcp:10.0.0.1:5432"]) };
  for (const [standing, service] of TABLE) {
    expect(ask({ ...none, policy: "unreadable" }, { standing, service }).allowed).toBe(false);
    expect(ask({ ...LIST, policy: "unreadable" }, { standing, service }).allowed).toBe(false);
    if (standing !== "known") expect(ask(none, { standing, service }).allowed).toBe(false);
  }
});

test("an expiry is the moment from which there is nothing, and known until then", () => {
  const rules = { ...LIST, policy: policy("{from: ['@alice'], to: ['*'], services: [ssh], expires: 2200-01-01}") };
  expect(ask(rules, { now: END - 1 })).toEqual({ allowed: true, until: END });
  expect(ask(rules, { now: END })).toEqual({
    allowed: false,
    code: "E_POLICY",
    reason: "the policy let @alice/laptop use ssh on gw1 until 2200-01-01 00:00 UTC",
  });
});

test.each([
  ["unlisted", "ssh", "it does not list @alice; on the device: sshnpd -m @alice ..."],
  [
    "unresolved",
    "ssh",
    "it admits @alice but has not learnt yet which owner key that is; it asks the directory by itself, or on the device: sshnpd -m @alice=SHA256:...",
  ],
  [
    "known",
    "tcp:127.0.0.1:22",
    "it grants @alice ssh and nothing else; on the device: sshnpd --permit-open 127.0.0.1:22 ...",
  ],
] as const)("%s, %s: the reason says what can be done and names nobody else", (standing, service, reason) => {
  expect(ask(LIST, { standing, service })).toEqual({ allowed: false, code: "E_DEVICE_REFUSED", reason });
  expect(reason.match(/@[a-z]+/g)?.every((name) => name === "@alice")).toBe(true);
});

test("with a policy, the reason says which rule was missing and what the asker may do instead", () => {
  expect(ask({ ...LIST, policy: BOTH }, { service: "tcp:10.0.0.9:80" })).toEqual({
    allowed: false,
    code: "E_POLICY",
    reason: "the policy does not let @alice/laptop use tcp:10.0.0.9:80 on gw1; it may use: ssh, tcp:10.0.0.1:5432",
  });
});

test("a reason about the longest names fits where reasons go", () => {
  const name = parseName(`@${"a".repeat(32)}`);
  const client = { name, member: parseMember("m".repeat(36)) };
  const service = `tcp:${"a".repeat(253)}:65535`;
  for (const standing of STANDINGS) {
    for (const rules of [LIST, { ...LIST, policy: BOTH }, { ...LIST, policy: "unreadable" as const }]) {
      const decision = ask(rules, { client, standing, service });
      expect(decision.allowed ? "" : decision.reason).toSatisfy((reason: string) => reason.length <= REASON_BYTES);
    }
  }
});

function ask(rules: AccessRules, question: Partial<AccessQuestion>) {
  const client = { name: alice, member: parseMember("laptop") };
  return decideAccess(rules, {
    ...{ client, standing: "known", device: parseMember("gw1"), service: "ssh", login: "pi", now: NOW },
    ...question,
  });
}

function policy(grant: string) {
  return parsePolicy(`version: 1\ngrants:\n  - ${grant}\n`, { unknownZones: "refuse" });
}
