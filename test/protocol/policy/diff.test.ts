import * as fc from "fast-check";
import { expect, test } from "vitest";
import type { MemberName } from "../../../keys/names.ts";
import { decide } from "../../../protocol/policy/decide.ts";
import { diffAccess } from "../../../protocol/policy/diff.ts";
import { NO_POLICY, policyDiffLines } from "../../../protocol/policy/diff-lines.ts";
import type { Policy } from "../../../protocol/policy/policy.ts";
import { parseService } from "../../../protocol/service.ts";
import { EXAMPLE, policyOf } from "./examples.ts";
import { clientOf, grantsThatAllow, type PlainPolicy, plainPolicy, printPlain } from "./reference.ts";
import { processorMs } from "../../support/processor-time.ts";

const grants = (...lines: readonly string[]): string =>
  `version: 1\ngroups: {ops: ["@acme/alice", "@acme/bob"]}\ntags: {gates: [gw1, gw2, "gw-*"]}\ngrants:\n${lines.map((line) => `  - {${line}}\n`).join("")}`;

const OPS = "from: [group:ops], to: [tag:gates], services: [ssh]";

test.each([
  ["nothing", EXAMPLE, EXAMPLE, []],
  [
    "other words for the same",
    EXAMPLE,
    EXAMPLE.replace("mon-fri", "mon,tue-fri")
      .replace("2027-01-31", "2027-01-31T01:00+01:00")
      .replaceAll("operators", "ops"),
    [],
  ],
  ["the same grant twice", grants(OPS), grants(OPS, OPS), []],
  [
    "a grant that another one has already",
    grants(OPS),
    grants(OPS, 'from: ["@acme/bob"], to: [gw1], services: [ssh], logins: [pi]'),
    [],
  ],
  ["a first policy", "", grants(OPS), ["+ @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh"]],
  ["a last policy", grants(OPS), "version: 1", ["- @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh"]],
  [
    "somebody more in a group",
    grants(OPS),
    grants(OPS).replace('"@acme/bob"', '"@acme/bob", "@acme/carol"'),
    ["+ @acme/carol -> gw1, gw2, gw-*: ssh"],
  ],
  [
    "a whole name instead of members",
    grants(OPS),
    grants(OPS).replace('"@acme/alice", "@acme/bob"', '"@acme"'),
    ["+ @acme -> gw1, gw2, gw-*: ssh"],
  ],
  ["a wider pattern", grants(OPS), grants(OPS).replace('"gw-*"', '"g*"'), ["+ @acme/alice, @acme/bob -> g*: ssh"]],
  [
    "a narrower pattern",
    grants(OPS),
    grants(OPS).replace('"gw-*"', '"gw-a*"'),
    ["- @acme/alice, @acme/bob -> gw-*: ssh"],
  ],
  [
    "fewer logins",
    grants(OPS),
    grants(`${OPS}, logins: [pi]`),
    ["- @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh as any but pi"],
  ],
  [
    "other logins",
    grants(`${OPS}, logins: [pi, root]`),
    grants(`${OPS}, logins: [pi, admin]`),
    [
      "+ @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh as admin",
      "- @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh as root",
    ],
  ],
  [
    "a service more",
    grants(OPS),
    grants(`${OPS.slice(0, -1)}, tcp:127.0.0.1:80, "tcp:*:443"]`),
    ["+ @acme/alice, @acme/bob -> gw1, gw2, gw-*: tcp:127.0.0.1:80, tcp:*:443"],
  ],
  [
    "any port instead of one",
    grants(`${OPS.slice(0, -1)}, tcp:a:80]`),
    grants(`${OPS.slice(0, -1)}, "tcp:a:*"]`),
    ["+ @acme/alice, @acme/bob -> gw1, gw2, gw-*: tcp:a:*"],
  ],
  [
    "hours",
    grants(OPS),
    grants(`${OPS}, hours: mon-fri 07:00-19:00 Europe/Berlin`),
    ["~ @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh: always -> mon-fri 07:00-19:00 Europe/Berlin"],
  ],
  [
    "longer hours for one of them",
    grants(`${OPS}, hours: mon-fri 07:00-19:00 UTC`),
    grants(
      `${OPS}, hours: mon-fri 07:00-19:00 UTC`,
      'from: ["@acme/bob"], to: [tag:gates], services: [ssh], hours: mon-fri 18:00-22:00 UTC',
    ),
    ["~ @acme/bob -> gw1, gw2, gw-*: ssh: mon-fri 07:00-19:00 UTC -> mon-fri 07:00-22:00 UTC"],
  ],
  [
    "an expiry",
    grants(OPS),
    grants(`${OPS}, expires: 2027-01-31`),
    ["~ @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh: always -> always until 2027-01-31 00:00 UTC"],
  ],
  [
    "a later expiry",
    grants(`${OPS}, expires: 2027-01-31`),
    grants(`${OPS}, expires: 2027-01-31`, `${OPS}, expires: 2027-02-28`),
    [
      "~ @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh: always until 2027-01-31 00:00 UTC -> always until 2027-02-28 00:00 UTC",
    ],
  ],
  [
    "access for a time",
    "version: 1",
    grants(`${OPS}, hours: sat-sun 08:00-12:00 UTC, expires: 2027-01-31`),
    ["+ @acme/alice, @acme/bob -> gw1, gw2, gw-*: ssh, sat-sun 08:00-12:00 UTC until 2027-01-31 00:00 UTC"],
  ],
  [
    "an owner",
    "version: 1\nowners: {}",
    'version: 1\nowners: {"@acme": SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU}',
    ["~ owner of @acme: pinned at first contact -> SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
  ],
  [
    "several at once",
    EXAMPLE,
    EXAMPLE.replace('"@acme/bob"', '"@acme/carol"').replace("tcp:127.0.0.1:502, ", ""),
    [
      "+ @acme/carol -> gw1, gw2, gw-*: ssh as pi or root, mon-fri 07:00-19:00 Europe/Berlin until 2027-01-31 00:00 UTC",
      "- @acme/bob -> gw1, gw2, gw-*: ssh as pi or root, mon-fri 07:00-19:00 Europe/Berlin until 2027-01-31 00:00 UTC",
      "- @vendor -> meter: tcp:127.0.0.1:502",
    ],
  ],
])("%s", (_, before, after, lines) => {
  const was = before === "" ? NO_POLICY : policyOf(before);
  expect(policyDiffLines(was, policyOf(after))).toEqual(lines);
  expect(policyDiffLines(policyOf(after), was)).toHaveLength(lines.length);
  for (const line of policyDiffLines(was, policyOf(after))) expect(line).toMatch(/^[-+~] [ -~]+$/);
});

interface Things {
  readonly clients: readonly string[];
  readonly devices: readonly string[];
  readonly services: readonly string[];
  readonly logins: readonly string[];
}

/** All that two policies mention, with somebody of each name, device of each pattern and so on whom neither mentions. */
function thingsIn(...policies: readonly PlainPolicy[]): Things {
  const all = policies.flatMap((policy) => policy.grants.map((grant) => ({ policy, grant })));
  const named = (list: readonly string[], prefix: string, sets: Readonly<Record<string, readonly string[]>>) =>
    list.flatMap((one) => (one.startsWith(prefix) ? (sets[one.slice(prefix.length)] ?? []) : [one]));
  const distinct = (list: readonly string[]): string[] => [...new Set(list)];
  return {
    clients: distinct(all.flatMap(({ policy, grant }) => named(grant.from, "group:", policy.groups))),
    devices: distinct(all.flatMap(({ policy, grant }) => named(grant.to, "tag:", policy.tags))),
    services: distinct(all.flatMap(({ grant }) => grant.services)),
    logins: distinct([...all.flatMap(({ grant }) => grant.logins ?? []), "*"]),
  };
}

/** One of the things that a word of a diff stands for. */
const standIn = {
  client: (text: string): string => (text.includes("/") ? text : `${text}/somebody-else`),
  device: (text: string): string => text.replaceAll("*", "zz9"),
  service: (text: string): string => text.replace(/\*$/, "54321").replace("*", "other.example"),
  login: (text: string | undefined): string => (text === undefined || text === "*" ? "someone_else" : text),
};

function sample(
  policy: Policy,
  use: readonly [client: string, device: string, service: string, login: string],
): boolean {
  const [client, device, service, login] = use;
  const request = { client: clientOf(client), device: device as MemberName, service: parseService(service), login };
  return decide(policy, { ...request, now: "any time" }).allowed;
}

test("it has exactly the access that either policy alone gives, among all that they mention", () => {
  let changed = 0;
  fc.assert(
    fc.property(plainPolicy, plainPolicy, fc.boolean(), (one, two, isEdit) => {
      const other = isEdit
        ? { ...one, groups: two.groups, grants: [...one.grants.slice(1), ...two.grants.slice(0, 1)] }
        : two;
      const [before, after] = [policyOf(printPlain(one)), policyOf(printPlain(other))];
      const found = new Map<string, { before: string | undefined; after: string | undefined }>();
      for (const change of diffAccess(before, after)) {
        for (const client of change.clients) {
          for (const device of change.devices) {
            for (const { service, login } of change.uses) {
              const key = JSON.stringify([client, device, service, login ?? ""]);
              expect(found.has(key), key).toBe(false);
              found.set(key, change);
            }
          }
        }
      }
      const { clients, devices, services, logins } = thingsIn(one, other);
      for (const client of clients) {
        for (const device of devices) {
          for (const service of services) {
            for (const login of service === "ssh" ? logins : [""]) {
              const use = [
                standIn.client(client),
                standIn.device(device),
                standIn.service(service),
                standIn.login(login),
              ] as const;
              const [was, is] = [sample(before, use), sample(after, use)];
              const key = JSON.stringify([client, device, service, login]);
              const change = found.get(key);
              if (change === undefined) {
                if (was !== is) expect(change, key).toBeDefined();
                continue;
              }
              changed++;
              expect([change.before !== undefined, change.after !== undefined], key).toEqual([was, is]);
              expect(change.before).not.toBe(change.after);
              found.delete(key);
            }
          }
        }
      }
      expect([...found.keys()]).toEqual([]);
    }),
    { numRuns: 80 },
  );
  expect(changed).toBeGreaterThan(1000);
});

test("access that it does not mention is the same at every time", () => {
  const times = "2026-10-31T09:00Z 2026-11-02T05:30Z 2026-12-04T18:30Z 2026-12-06T23:30Z 2027-02-03T12:00Z"
    .split(" ")
    .map((text) => Date.parse(text));
  fc.assert(
    fc.property(plainPolicy, plainPolicy, (one, two) => {
      const other = { ...one, grants: [...one.grants.slice(1), ...two.grants.slice(0, 1)], groups: one.groups };
      const changes = diffAccess(policyOf(printPlain(one)), policyOf(printPlain(other)));
      const { clients, devices, services, logins } = thingsIn(one, other);
      for (const client of clients) {
        for (const device of devices) {
          for (const service of services) {
            for (const login of service === "ssh" ? logins : [""]) {
              const isIn = changes.some(
                (change) =>
                  change.clients.includes(client) &&
                  change.devices.includes(device) &&
                  change.uses.some((use) => use.service === service && (use.login ?? "") === login),
              );
              if (isIn) continue;
              const request = {
                client: standIn.client(client),
                device: standIn.device(device),
                service: standIn.service(service),
                login: standIn.login(login),
              };
              for (const now of times) {
                const [was, is] = [one, other].map((plain) => grantsThatAllow(plain, { ...request, now }).length > 0);
                if (was !== is) expect({ request, now }).toBe("the same");
              }
            }
          }
        }
      }
    }),
    { numRuns: 15 },
  );
});

test("the largest policies are compared in a moment", () => {
  const many = (seed: number): string =>
    `version: 1\ngrants:\n${Array.from({ length: 95 }, (_, i) => `- {from: ["@a/c${(i * seed) % 97}"],to: [d${(i * seed) % 89},"e${i}*"],services: [ssh]}\n`).join("")}`;
  const [before, after] = [policyOf(many(3)), policyOf(many(7))];
  const spent = processorMs(() => {
    expect(policyDiffLines(before, after).length).toBeGreaterThan(50);
  });
  expect(spent).toBeLessThan(5000);
});
