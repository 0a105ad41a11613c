import { parseMember, parseName } from "../../../keys/names.ts";
import { parsePolicy } from "../../../protocol/policy/parse.ts";
import type { AccessRequest, Policy } from "../../../protocol/policy/policy.ts";
import { parseService } from "../../../protocol/service.ts";

export const EXAMPLE = `version: 1
owners:
  "@acme": SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU
groups:
  operators: ["@acme/alice", "@acme/bob"]   # members of a name
  vendors: ["@vendor"]                      # every member of a name
tags:
  gateways: [gw1, gw2, "gw-*"]
grants:
  - name: operators reach every gateway
    from: [group:operators]
    to: [tag:gateways]
    services: [ssh]
    logins: [pi, root]
    hours: mon-fri 07:00-19:00 Europe/Berlin
    expires: 2027-01-31
  - name: the vendor reads the meter
    from: [group:vendors]
    to: [meter]
    services: [tcp:127.0.0.1:502, "tcp:10.0.0.7:*"]
tests:
  - from: "@acme/alice"
    to: gw1
    service: ssh
    login: pi
    at: 2026-12-01T10:00:00Z
    expect: allow
  - {from: "@vendor/x", to: gw1, service: ssh, expect: deny}
`;

/** As whoever writes one parses it. */
export function policyOf(text: string): Policy {
  return parsePolicy(text, { unknownZones: "refuse" });
}

/** `@acme/alice gw1 ssh pi 2026-12-01T10:00Z`; login `-`: none; without a time, any time. */
export function requestOf(line: string): AccessRequest {
  const [client = "", device = "", service = "", login = "-", at] = line.split(/ +/);
  const [name = "", member = ""] = client.split("/");
  return {
    client: { name: parseName(name), member: parseMember(member) },
    device: parseMember(device),
    service: parseService(service),
    login: login === "-" ? "" : login,
    now: at === undefined ? "any time" : Date.parse(at),
  };
}
