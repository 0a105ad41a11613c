import { setTimeout as delay } from "node:timers/promises";
import { LEG_STATUS } from "../../protocol/leg-hello.ts";
import type { Attack } from "./attack.ts";
import { type InterceptedLeg, join } from "./interceptor.ts";
import { AttackingMember, type VictimSession } from "./member.ts";
import type { Target } from "./target.ts";
import { takeTurns } from "./traffic.ts";

/** Between two sets of sessions, so that it is they that are attacked and not the processor. */
const PAUSE_MS = 1_000;

type Role = "client" | "device";
type Legs = Readonly<Record<Role, InterceptedLeg>>;

/** What a rendezvous may do with the legs of two sessions. Only the first is what it should do. */
const CROSSINGS: Readonly<Record<string, (one: Legs, other: Legs) => void>> = {
  straight: (one, other) => {
    meet(one.client, one.device);
    meet(other.client, other.device);
  },
  swapped: (one, other) => {
    meet(one.client, other.device);
    meet(other.client, one.device);
  },
  "clients with clients": (one, other) => {
    meet(one.client, other.client);
    meet(one.device, other.device);
  },
  reflected: (one, other) => {
    for (const leg of [one.client, one.device, other.client, other.device]) reflect(leg);
  },
};

/**
 * A rendezvous that brings the wrong legs together, two sessions at a time, each wrong in its turn. In between it does what
 * it should, so that it is seen that the sessions would have come about.
 */
export const crossedLegs: Attack = {
  name: "crossed-legs",
  from: "between",
  surface: "both ends: legs of a rendezvous that swaps, reflects and cross-splices",
  async run(target, signal) {
    const member = await AttackingMember.of(target.stack.client.keys, target.stack.address);
    const counts = new Map<string, number>();
    const names = Object.keys(CROSSINGS);
    await takeTurns(names.length, signal, async (n) => {
      const name = names[n % names.length] ?? "";
      const sessions = await twoSessions(member, target, CROSSINGS[name] ?? meetNobody, signal);
      if (sessions === undefined) return;
      for (const { received, ended } of sessions) {
        const hasSpoken = await Promise.race([received, ended]);
        if (!hasSpoken && signal.aborted) return; // cut off with the attack
        if (hasSpoken !== (name === "straight")) {
          throw new Error(`legs ${name}: ${hasSpoken ? "something of the device arrived" : "nothing arrived"}`);
        }
      }
      await Promise.all(sessions.map((session) => session.close()));
      counts.set(name, (counts.get(name) ?? 0) + 1);
      await delay(PAUSE_MS, undefined, { signal }).catch(() => {});
    });
    if (counts.size < names.length) throw new Error(`not all was tried: ${[...counts.keys()].join(", ")}`);
    return `pairs of sessions: ${[...counts].map(([what, count]) => `${count} ${what}`).join(", ")}`;
  },
};

/** Two sessions whose four legs are handed to `cross`; undefined when the attack is over. */
async function twoSessions(
  member: AttackingMember,
  target: Target,
  cross: (one: Legs, other: Legs) => void,
  signal: AbortSignal,
): Promise<readonly VictimSession[] | undefined> {
  const brought = [new Map<Role, InterceptedLeg>(), new Map<Role, InterceptedLeg>()] as const;
  const onLeg = (): void => {
    const [one, other] = brought.map(bothOf);
    if (one !== undefined && other !== undefined) cross(one, other);
  };
  const open = (legs: Map<Role, InterceptedLeg>): Promise<VictimSession | undefined> =>
    member.open(target, signal, (leg) => {
      legs.set(leg.hello.role, leg);
      onLeg();
    });
  const sessions = await Promise.all(brought.map(open));
  signal.addEventListener("abort", () => {
    for (const legs of brought) for (const { socket } of legs.values()) socket.destroy();
  });
  return sessions.every((session) => session !== undefined) ? sessions : undefined;
}

function bothOf(legs: ReadonlyMap<Role, InterceptedLeg>): Legs | undefined {
  const [client, device] = [legs.get("client"), legs.get("device")];
  return client === undefined || device === undefined ? undefined : { client, device };
}

/** Tells both that they are joined, and carries what each sends to the other. */
function meet(one: InterceptedLeg, other: InterceptedLeg): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    to.socket.write(Buffer.of(LEG_STATUS.joined));
    to.socket.write(from.read.subarray(from.length));
  }
  join(one.socket, other.socket);
}

/** Tells a leg that it is joined, and sends back to it what it sends. */
function reflect({ socket, read, length }: InterceptedLeg): void {
  socket.write(Buffer.of(LEG_STATUS.joined));
  socket.write(read.subarray(length));
  socket.pipe(socket);
}

function meetNobody(): void {}
