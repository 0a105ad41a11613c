import { REASON_BYTES } from "../limits.ts";
import { decide, grantsOf, isFrom, missingOf, timeLeft } from "./decide.ts";
import { printService } from "./patterns.ts";
import { printInstant } from "./instant.ts";
import type { AccessRequest, DeviceSet, Grant, Policy } from "./policy.ts";

/** What whoever was refused may know: what was missing, and what it may do instead, by its own grants alone. */
export interface Refusal {
  readonly missing: "device" | "service" | "login" | "hours" | "expired";
  /** One line of printable ASCII, at most REASON_BYTES. It names nobody but the asker, and no grant, group or tag. */
  readonly reason: string;
  /** What is granted to the asker now: devices as they stand in the policy, patterns included. */
  readonly devices: readonly string[];
  /** On the device that it asked for. */
  readonly services: readonly string[];
  /** On that device for `ssh`; undefined: any. */
  readonly logins: readonly string[] | undefined;
}

/** Why {@link decide} refuses a request, for the one who asks; undefined when it does not. */
export function explainRefusal(policy: Policy, request: AccessRequest): Refusal | undefined {
  const decision = decide(policy, request);
  if (decision.allowed) return undefined;
  const isNow = (grant: Grant): boolean => timeLeft(grant, request.now) !== undefined;
  const here = grantsOf(policy, request.client, request.device);
  const instead = {
    devices: devicesOf(policy.grants.filter((grant) => isFrom(grant, request.client) && isNow(grant))),
    services: distinct(here.filter(isNow).flatMap(({ services }) => services.map((service) => printService(service)))),
    logins: loginsOf(here.filter((grant) => isNow(grant) && grant.services.some(({ kind }) => kind === "ssh"))),
  };
  const who = `${request.client.name}/${request.client.member}`;
  const service = printService(request.service);
  const cannot = (what: string): string => `the policy does not let ${who} ${what}`;
  switch (decision.missing) {
    case "device":
      return {
        ...instead,
        missing: "device",
        reason: but(cannot(`reach ${request.device}`), "it may reach", instead.devices),
      };
    case "service":
      return {
        ...instead,
        missing: "service",
        reason: but(cannot(`use ${service} on ${request.device}`), "it may use", instead.services),
      };
    case "login": {
      const login = request.login === "" ? "without naming a login" : `as ${request.login}`;
      const fact = cannot(`use ${service} on ${request.device} ${login}`);
      return { ...instead, missing: "login", reason: but(fact, "it may as", instead.logins ?? []) };
    }
    case "time": {
      const grants = here.filter((grant) => missingOf(grant, request) === undefined);
      return { ...instead, ...untimely(grants, request, `${who} use ${service} on ${request.device}`) };
    }
  }
}

function untimely(grants: readonly Grant[], { now }: AccessRequest, what: string): Pick<Refusal, "missing" | "reason"> {
  const isOver = ({ expires }: Grant): boolean => expires !== undefined && now !== "any time" && now >= expires;
  const hours = distinct(grants.filter((grant) => !isOver(grant)).map((grant) => grant.hours?.text ?? ""));
  if (hours.length > 0) {
    return { missing: "hours", reason: but(`the policy does not let ${what} now`, "it may", hours, "; ") };
  }
  const last = Math.max(...grants.map(({ expires }) => expires ?? 0));
  return { missing: "expired", reason: `the policy let ${what} until ${printInstant(last)}` };
}

function devicesOf(grants: readonly Grant[]): string[] {
  const sets = new Set<DeviceSet>(grants.flatMap(({ to }) => to));
  return distinct([...sets].flatMap(({ devices, patterns }): string[] => [...devices, ...patterns]));
}

function loginsOf(grants: readonly Grant[]): readonly string[] | undefined {
  if (grants.some(({ logins }) => logins === undefined)) return undefined;
  return distinct(grants.flatMap(({ logins = new Set<string>() }) => [...logins]));
}

/** A fact, and the first few of what is granted, in the words of the policy; all within REASON_BYTES. */
function but(fact: string, introduction: string, all: readonly string[], separator = ", "): string {
  const shown: string[] = [];
  let room = Math.min(160, REASON_BYTES - fact.length - introduction.length - MARKS_LENGTH);
  for (const text of all) {
    room -= text.length + separator.length;
    if (room < 0) break;
    shown.push(text);
  }
  if (shown.length === 0) return fact;
  const others = all.length > shown.length ? ` and ${all.length - shown.length} more` : "";
  return `${fact}; ${introduction}: ${shown.join(separator)}${others}`;
}

/** "; ", ": " and " and 9999 more" of {@link but}. */
const MARKS_LENGTH = 20;

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}
