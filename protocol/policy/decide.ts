import type { MemberName } from "../../keys/names.ts";
import { endOfHours } from "./hours.ts";
import { hasDevice, hasService } from "./patterns.ts";
import type { AccessRequest, DeviceSet, Grant, Policy, PolicyClient } from "./policy.ts";

export type Decision = Allowed | Refused;

export interface Allowed {
  readonly allowed: true;
  /** The grant that lasts longest of those that hold. */
  readonly grant: Grant;
  /** When it holds no more, ms since 1970 UTC: ask again then, for another grant may go on. Undefined: it has no end. */
  readonly until: number | undefined;
}

export interface Refused {
  readonly allowed: false;
  readonly missing: Missing;
}

/**
 * What the grant that came nearest lacked: `device` no grant lets this client reach this device, for anything, ever;
 * `service` one does, for other services; `login` for other logins; `time` not now.
 */
export type Missing = "device" | "service" | "login" | "time";

const NEARER: readonly Missing[] = ["device", "service", "login", "time"];

/**
 * Whether a policy lets somebody use one service of one device, as one user, now. The same for the directory, which asks
 * early, and the device, whose word counts. Ask for every stream, by the service of its own OPEN, and again at `until`,
 * after every resume or rekey, and when there is a newer policy: what a session may do is not settled at its start.
 *
 * It looks at every grant once, and at every tag; a policy is small (POLICY_BYTES), and so is the time that takes.
 */
export function decide(policy: Policy, request: AccessRequest): Decision {
  const isInTag = rememberTags(request.device);
  let nearest = 0;
  let best: { readonly grant: Grant; readonly until: number } | undefined;
  for (const grant of policy.grants) {
    if (!isFrom(grant, request.client) || !grant.to.some(isInTag)) continue;
    const missing = missingOf(grant, request);
    const until = missing === undefined ? timeLeft(grant, request.now) : undefined;
    if (until === undefined) nearest = Math.max(nearest, NEARER.indexOf(missing ?? "time"));
    else if (best === undefined || until > best.until) best = { grant, until };
    if (until === Infinity) break;
  }
  if (best === undefined) return { allowed: false, missing: NEARER[nearest] ?? "device" };
  return { allowed: true, grant: best.grant, until: best.until === Infinity ? undefined : best.until };
}

/**
 * Whether a client may know of a device and ask for it: any grant names both, whatever its services, hours and expiry.
 * To everybody else the device must look like one that does not exist.
 */
export function mayAsk(policy: Policy, client: PolicyClient, device: MemberName): boolean {
  return grantsOf(policy, client, device).length > 0;
}

/**
 * Whether a grant that holds at `now` names this login, for ssh. A grant that names none lets every login in; but it says of none
 * that whoever comes may become it.
 */
export function namesLogin(
  policy: Policy,
  client: PolicyClient,
  device: MemberName,
  { login, now }: Pick<AccessRequest, "login" | "now">,
): boolean {
  return grantsOf(policy, client, device).some(
    (grant) =>
      grant.logins?.has(login) === true &&
      grant.services.some((pattern) => hasService(pattern, { kind: "ssh" })) &&
      timeLeft(grant, now) !== undefined,
  );
}

/** The grants that let a client reach a device, for whatever and whenever. */
export function grantsOf(policy: Policy, client: PolicyClient, device: MemberName): Grant[] {
  const isInTag = rememberTags(device);
  return policy.grants.filter((grant) => isFrom(grant, client) && grant.to.some(isInTag));
}

export function isFrom(grant: Grant, { name, member }: PolicyClient): boolean {
  const whole = `${name}/${member}`;
  return grant.from.some(({ members }) => members.has(name) || members.has(whole));
}

/** Until when a grant holds (Infinity: no end); undefined when it does not hold at `now`, nor at a `now` that is no number. */
export function timeLeft({ hours, expires }: Grant, now: AccessRequest["now"]): number | undefined {
  if (now === "any time") return Infinity;
  if (!Number.isFinite(now)) return undefined;
  const expiry = expires ?? Infinity;
  if (now >= expiry) return undefined;
  const end = hours === undefined ? Infinity : endOfHours(hours, now);
  return end === undefined ? undefined : Math.min(end, expiry);
}

/** What a grant that names both client and device lacks otherwise, its time aside: for a ping nothing, whatever it is for. */
export function missingOf({ services, logins }: Grant, { service, login }: AccessRequest): Missing | undefined {
  if (service.kind === "ping") return undefined;
  if (!services.some((pattern) => hasService(pattern, service))) return "service";
  return service.kind !== "ssh" || logins === undefined || logins.has(login) ? undefined : "login";
}

/** Looks at each tag once, however many grants name it. */
function rememberTags(device: string): (set: DeviceSet) => boolean {
  const known = new Map<DeviceSet, boolean>();
  return (set) => {
    if (set.patterns.length === 0) return set.devices.has(device);
    const before = known.get(set);
    if (before !== undefined) return before;
    const has = hasDevice(set, device);
    known.set(set, has);
    return has;
  };
}
