import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Askers } from "../../directory/replicas/askers.ts";
import { BrokerByOthers } from "../../directory/replicas/broker-by-others.ts";
import { Leases } from "../../directory/replicas/leases.ts";
import type { ReplicaMessage } from "../../directory/replicas/messages.ts";
import { hex } from "../../keys/bytes.ts";
import { REPLICA_TELL_MS } from "../../protocol/limits.ts";
import { random, TestClock } from "./world.ts";

/* A directory without a broker asks another one on its store; what comes of that for devices is in broker-by-others.test.ts. */

const failures: unknown[] = [];
/** What the other one was asked. */
const asked: ReplicaMessage[] = [];
let broker: BrokerByOthers;
beforeEach(async () => {
  failures.length = 0;
  asked.length = 0;
  const clock = new TestClock();
  const id = random(16);
  const others = new Set([hex(random(16))]);
  const shared = { renew: () => Promise.resolve({ alive: others, atBroker: others }), leave: () => Promise.resolve() };
  const leases = new Leases({ shared, clock, isAtBroker: () => false }, hex(id), () => {});
  await leases.renew();
  const send = (_to: string, message: ReplicaMessage): Promise<void> => {
    asked.push(message);
    return Promise.resolve();
  };
  const failed = (error: unknown): void => void failures.push(error);
  broker = new BrokerByOthers({ id, random, clock, leases, askers: new Askers(clock), send, failed });
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  expect(failures).toEqual([]);
});

/** The other one has told the broker what it was asked last. */
function answer(type: "byBroker" | "notByBroker"): void {
  const last = asked.at(-1);
  if (last === undefined || !("id" in last)) throw new Error("nothing was asked");
  broker.heard({ type, id: last.id });
}

test("a question adds nothing to a signal that outlives it, and leaves no timer", async () => {
  vi.useFakeTimers();
  const any = vi.spyOn(AbortSignal, "any"); // Node keeps an entry of each with the signals that it is made of
  for (const type of ["byBroker", "notByBroker"] as const) {
    const told = broker.tell(["@acme"]);
    answer(type);
    expect(await told).toBe(type === "byBroker");
  }
  expect([any.mock.calls, vi.getTimerCount(), asked.length]).toEqual([[], 0, 2]);
});

test("who does not answer in time has not done it, and is not asked at once again", async () => {
  vi.useFakeTimers();
  const told = broker.tell(["@acme"]);
  await vi.advanceTimersByTimeAsync(REPLICA_TELL_MS);
  expect([await told, await broker.tell(["@acme"]), asked.length]).toEqual([false, false, 1]);
});

test("at its end nobody waits any more, and nothing is asked", async () => {
  const told = broker.tell(["@acme"]);
  broker[Symbol.dispose]();
  expect([await told, await broker.tell(["@other"]), asked.length]).toEqual([false, false, 1]);
});
