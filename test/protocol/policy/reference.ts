/**
 * A policy as plain data, and judged in the plainest way: everything written out, every day and minute looked up anew, with
 * none of the product's code. To be compared with.
 */
import * as fc from "fast-check";
import type { PolicyClient } from "../../../protocol/policy/policy.ts";

export interface PlainGrant {
  readonly name?: string;
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly services: readonly string[];
  readonly logins?: readonly string[];
  readonly hours?: string;
  readonly expires?: string;
}

export interface PlainPolicy {
  readonly version: 1;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly tags: Readonly<Record<string, readonly string[]>>;
  readonly grants: readonly PlainGrant[];
}

export interface PlainRequest {
  readonly client: string;
  readonly device: string;
  readonly service: string;
  readonly login: string;
  readonly now: number | "any time";
}

/** JSON is YAML, too. */
export function printPlain(policy: PlainPolicy): string {
  return JSON.stringify(policy, undefined, 1);
}

/** The numbers, from 1, of the grants that allow a request. */
export function grantsThatAllow(policy: PlainPolicy, request: PlainRequest): number[] {
  return policy.grants.flatMap((grant, i) => (allows(policy, grant, request) ? [i + 1] : []));
}

function allows(
  policy: PlainPolicy,
  grant: PlainGrant,
  { client, device, service, login, now }: PlainRequest,
): boolean {
  const from = grant.from.flatMap((one) => (one.startsWith("group:") ? (policy.groups[one.slice(6)] ?? []) : [one]));
  const to = grant.to.flatMap((one) => (one.startsWith("tag:") ? (policy.tags[one.slice(4)] ?? []) : [one]));
  const isSsh = service === "ssh";
  return (
    from.some((one) => one === client || one === client.split("/")[0]) &&
    to.some((one) => likeGlob(one).test(device)) &&
    grant.services.some((one) => likeGlob(one).test(service)) &&
    (!isSsh || grant.logins === undefined || grant.logins.includes(login)) &&
    (now === "any time" || grant.hours === undefined || isWithin(grant.hours, now)) &&
    (now === "any time" || grant.expires === undefined || now < Date.parse(grant.expires))
  );
}

function likeGlob(text: string): RegExp {
  return new RegExp(
    `^${text
      .split("*")
      .map((part) => part.replace(/[.[\]]/g, "\\$&"))
      .join(".*")}$`,
  );
}

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/** Whether the wall clock of a zone stands within hours of the form `DAYS HH:MM-HH:MM[, ...] ZONE`, days given. */
export function isWithin(hours: string, now: number): boolean {
  const zone = hours.slice(hours.lastIndexOf(" ") + 1);
  const parts = hours.slice(0, hours.lastIndexOf(" ")).split(", ");
  const clock = wallClock(zone, now);
  return parts.some((part) => {
    const [days = "", times = ""] = part.split(" ");
    const [start = "", end = ""] = times.split("-");
    const listed = days.split(",").flatMap((run) => daysOf(run));
    const yesterday = DAYS[(DAYS.indexOf(clock.day) + 6) % 7] ?? "";
    if (start < end) return listed.includes(clock.day) && start <= clock.time && clock.time < end;
    return (listed.includes(clock.day) && start <= clock.time) || (listed.includes(yesterday) && clock.time < end);
  });
}

function daysOf(run: string): string[] {
  const [first = "", last = first] = run.split("-");
  const days: string[] = [];
  for (let i = DAYS.indexOf(first); ; i = (i + 1) % 7) {
    days.push(DAYS[i] ?? "");
    if (DAYS[i] === last) return days;
  }
}

const clocks = new Map<string, Intl.DateTimeFormat>();

function wallClock(timeZone: string, now: number): { day: string; time: string } {
  const clock =
    clocks.get(timeZone) ??
    new Intl.DateTimeFormat("en-GB", {
      timeZone,
      weekday: "short",
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
  clocks.set(timeZone, clock);
  const [, day = "", time = ""] = /^(\w{3})\w*,? (\d\d:\d\d)$/.exec(clock.format(now)) ?? [];
  return { day: day.toLowerCase(), time };
}

/* Policies so small that requests often meet them. */

export const ZONES = [
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "America/St_Johns",
  "Australia/Lord_Howe", // half an hour of summer time
  "Asia/Kathmandu", // 5:45
  "Africa/Casablanca", // an hour back for Ramadan
  "Pacific/Chatham",
];

/** Around both changes of 2026 and 2027 in most of these zones, and anywhere. */
export const moment: fc.Arbitrary<number> = fc
  .tuple(
    fc.constantFrom(
      ..."2026-03-08T07:00Z 2026-03-29T01:00Z 2026-04-04T15:00Z 2026-10-03T15:30Z 2026-10-25T01:00Z 2026-11-01T06:00Z 2026-02-15T02:00Z 2026-12-31T23:00Z 2027-01-31T00:00Z"
        .split(" ")
        .map((text) => Date.parse(text)),
    ),
    fc.oneof(fc.integer({ min: -180, max: 180 }), fc.integer({ min: -20_000, max: 20_000 })),
    fc.constantFrom(0, 1, 59_999, 30_000),
  )
  .map(([time, minutes, ms]) => time + minutes * 60_000 + ms);

const clockText = fc
  .tuple(fc.integer({ min: 0, max: 23 }), fc.constantFrom(0, 15, 30, 59))
  .map(([hour, minute]) => `${String(hour).padStart(2, "0")}:${String(minute).padStart(2, "0")}`);
const day = fc.constantFrom(...DAYS);
const dayRun = fc.oneof(
  day,
  fc.tuple(day, day).map(([first, last]) => (first === last ? first : `${first}-${last}`)),
);
const part = fc
  .tuple(fc.array(dayRun, { minLength: 1, maxLength: 2 }), clockText, fc.oneof(clockText, fc.constant("24:00")))
  .filter(([, start, end]) => start !== end)
  .map(([days, start, end]) => `${days.join(",")} ${start}-${end}`);
export const hours: fc.Arbitrary<string> = fc
  .tuple(fc.array(part, { minLength: 1, maxLength: 3 }), fc.constantFrom(...ZONES))
  .map(([parts, zone]) => `${parts.join(", ")} ${zone}`);

const CLIENTS = ["@acme/alice", "@acme/bob", "@acme/carol", "@vendor/x", "@vendor/y", "@other/z"];
const DEVICES = ["gw1", "gw2", "gw-a1", "gw-a2", "meter", "a"];
const SERVICES = ["ssh", "tcp:127.0.0.1:80", "tcp:127.0.0.1:443", "tcp:10.0.0.7:80", "tcp:[::1]:80"];
const LOGINS = ["", "pi", "root", "admin"];

const some = <T>(...all: readonly T[]): fc.Arbitrary<T[]> =>
  fc.uniqueArray(fc.constantFrom(...all), { minLength: 1, maxLength: 3 });
const client = fc.constantFrom("@acme/alice", "@acme/bob", "@vendor/x", "@acme", "@vendor");
const device = fc.constantFrom("gw1", "gw2", "meter", "gw-*", "*", "g*1", "*a*", "gw-a1", "**");
const service = fc.constantFrom(...SERVICES.slice(0, 3), "tcp:127.0.0.1:*", "tcp:*:80", "tcp:*:*");

export const plainGrant: fc.Arbitrary<PlainGrant> = fc
  .record(
    {
      name: fc.constantFrom("one", "two"),
      from: fc.array(fc.oneof(client, fc.constantFrom("group:g", "group:h")), { minLength: 1, maxLength: 3 }),
      to: fc.array(fc.oneof(device, fc.constantFrom("tag:t", "tag:u")), { minLength: 1, maxLength: 3 }),
      services: fc.uniqueArray(fc.oneof(fc.constant("ssh"), service), { minLength: 1, maxLength: 3 }),
      logins: some("pi", "root"),
      hours,
      expires: fc.constantFrom("2026-11-01", "2027-01-31", "2026-10-25T01:30Z", "2026-03-29T03:00:30+02:00"),
    },
    { requiredKeys: ["from", "to", "services"] },
  )
  .map(({ logins, ...grant }) =>
    logins !== undefined && grant.services.includes("ssh") ? { ...grant, logins } : grant,
  );

export const plainPolicy: fc.Arbitrary<PlainPolicy> = fc.record({
  version: fc.constant(1 as const),
  groups: fc.record({ g: fc.array(client, { maxLength: 3 }), h: fc.array(client, { maxLength: 2 }) }),
  tags: fc.record({ t: fc.array(device, { maxLength: 3 }), u: fc.array(device, { maxLength: 2 }) }),
  grants: fc.array(plainGrant, { maxLength: 5 }),
});

export const plainRequest: fc.Arbitrary<PlainRequest> = fc.record({
  client: fc.constantFrom(...CLIENTS),
  device: fc.constantFrom(...DEVICES),
  service: fc.constantFrom(...SERVICES),
  login: fc.constantFrom(...LOGINS),
  now: fc.oneof(moment, fc.constant("any time" as const)),
});

export function clientOf(text: string): PolicyClient {
  const [name, member] = text.split("/");
  return { name, member } as PolicyClient;
}
