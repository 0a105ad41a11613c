/**
 * Which access a change of policy gives, takes or moves in time.
 *
 * All that either policy mentions is asked of both: clients, devices, services, logins. A whole name (`@acme`), a pattern
 * (`gw-*`, `tcp:*:80`) and "any login" are asked as what they mean beyond what else is mentioned: a member, device, service
 * or login that nobody has named yet. So a difference is found wherever there is one among these, and none where there is
 * none. What two patterns have in common is not asked by itself.
 */
import { hasDevice, hasService, printService } from "./patterns.ts";
import type { Grant, Policy, ServicePattern } from "./policy.ts";
import { timesOf } from "./times.ts";

/** Every one of `clients` had every one of `uses` on every one of `devices` at the times of `before`; now it is `after`. */
export interface AccessChange {
  /** `@acme/alice`; `@acme` for any member that is not mentioned by itself. */
  readonly clients: readonly string[];
  /** `gw1`; `gw-*` for any device of the pattern that is not mentioned by itself. */
  readonly devices: readonly string[];
  readonly uses: readonly Use[];
  /** In words; undefined: at no time. */
  readonly before: string | undefined;
  readonly after: string | undefined;
}

export interface Use {
  readonly service: string;
  /** For `ssh` alone; `*` for any login that is not mentioned, and for none. */
  readonly login: string | undefined;
}

/** All logins that either policy mentions, and `*`: what a {@link Use} of `ssh` can have. */
export function loginsOf(grants: readonly Grant[]): string[] {
  return [...new Set(grants.flatMap(({ logins = [] }) => [...logins])), ANY_OTHER];
}

/** The differences in access; each client, device and use together stands in at most one of them. */
export function diffAccess(before: Policy, after: Policy): AccessChange[] {
  const grants = [...before.grants, ...after.grants];
  const clients = kindsOf(clientsOf(grants), grants, (grant, client) => isFrom(grant, client));
  const devices = kindsOf(devicesOf(grants), grants, ({ to }, device) => to.some((set) => hasDevice(set, device)));
  const uses = kindsOf(usesOf(grants), grants, isFor);
  const changes: AccessChange[] = [];
  const timesBefore = remembered(before.grants);
  const timesAfter = remembered(after.grants);
  for (const client of clients) {
    for (const device of devices) {
      const both = client.grants & device.grants;
      if (both === 0n) continue;
      for (const use of uses) {
        const granted = both & use.grants;
        const was = timesBefore(granted & ((1n << BigInt(before.grants.length)) - 1n));
        const is = timesAfter(granted >> BigInt(before.grants.length));
        if (was === is) continue;
        const printed = use.members.map(({ pattern, login }): Use => ({ service: printService(pattern), login }));
        changes.push({ clients: client.members, devices: device.members, uses: printed, before: was, after: is });
      }
    }
  }
  return joined(joined(joined(changes, "uses"), "devices"), "clients");
}

/** Things that the same grants have, and so the same access; a bit for each grant. */
interface Kind<T> {
  readonly members: readonly T[];
  readonly grants: bigint;
}

function kindsOf<T>(all: readonly T[], grants: readonly Grant[], has: (grant: Grant, one: T) => boolean): Kind<T>[] {
  const kinds = new Map<bigint, T[]>();
  for (const one of all) {
    const bits = grants.reduce((sum, grant, i) => (has(grant, one) ? sum | (1n << BigInt(i)) : sum), 0n);
    const members = kinds.get(bits);
    if (members === undefined) kinds.set(bits, [one]);
    else members.push(one);
  }
  return [...kinds].map(([bits, members]) => ({ members, grants: bits }));
}

const ANY_OTHER = "*";

function clientsOf(grants: readonly Grant[]): string[] {
  return [...new Set(grants.flatMap(({ from }) => from.flatMap(({ members }) => [...members])))];
}

function isFrom({ from }: Grant, client: string): boolean {
  const [name = ""] = client.split("/", 1);
  return from.some(({ members }) => members.has(client) || members.has(name));
}

function devicesOf(grants: readonly Grant[]): string[] {
  const sets = new Set(grants.flatMap(({ to }) => to));
  return [...new Set([...sets].flatMap(({ devices, patterns }) => [...devices, ...patterns]))];
}

interface PatternUse {
  readonly pattern: ServicePattern;
  readonly login: string | undefined;
}

function usesOf(grants: readonly Grant[]): PatternUse[] {
  const services = new Map(grants.flatMap((grant) => grant.services.map((one) => [printService(one), one] as const)));
  return [...services.values()].flatMap((pattern): PatternUse[] =>
    pattern.kind === "ssh" ? loginsOf(grants).map((login) => ({ pattern, login })) : [{ pattern, login: undefined }],
  );
}

function isFor({ services, logins }: Grant, { pattern, login }: PatternUse): boolean {
  if (login !== undefined && logins !== undefined && !logins.has(login)) return false;
  return services.some((service) => hasService(service, pattern));
}

function remembered(grants: readonly Grant[]): (bits: bigint) => string | undefined {
  const known = new Map<bigint, string | undefined>();
  return (bits) => {
    if (known.has(bits)) return known.get(bits);
    const times = timesOf(grants.filter((_, i) => ((bits >> BigInt(i)) & 1n) === 1n));
    known.set(bits, times);
    return times;
  };
}

/** Changes that differ in one respect alone, made one. */
function joined(changes: readonly AccessChange[], respect: "uses" | "devices" | "clients"): AccessChange[] {
  const result = new Map<string, AccessChange>();
  for (const change of changes) {
    const key = JSON.stringify({ ...change, before: change.before ?? "", after: change.after ?? "", [respect]: [] });
    const found = result.get(key) ?? { ...change, [respect]: [] };
    result.set(key, { ...found, [respect]: [...found[respect], ...change[respect]] });
  }
  return [...result.values()];
}
