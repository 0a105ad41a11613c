import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { RunningProcess } from "../support/processes.ts";
import type { DistantSystem } from "./network.ts";
import { inTurn, LINK_DOWN, repeat, report, timesSaid, untilSaid, untilSshnpWorks } from "./rounds.ts";

const SUSPENDED_MS = 60_000;
const ONE_MINUTE = { limitMs: 5_000, few: 1, most: 3 };

/** The device sleeps for a minute. */
export async function suspendedDaemon({ stack }: DistantSystem): Promise<void> {
  const noticed: number[] = [];
  await repeat({ fault: "daemon suspended for a minute", ...ONE_MINUTE }, async () => {
    await using session = await openSession(stack.startSsh("cat"));
    const wasDown = timesSaid(stack.directory.stderr, LINK_DOWN);
    const since = performance.now();
    process.kill(stack.daemon.pid, "SIGSTOP");
    noticed.push(await untilSaid(() => stack.directory.stderr, LINK_DOWN, wasDown, { since }));
    await expectBrokenOff(session);
    await delay(SUSPENDED_MS - (performance.now() - since));
    return await goOn(stack.daemon, (resumed) => untilSshnpWorks(stack, resumed));
  });
  report({ fault: "daemon suspended: the directory logs it", limitMs: 30_000 }, noticed);
}

/** The directory's machine sleeps for a minute. A session in the air goes on without it. */
export async function suspendedDirectory({ stack }: DistantSystem): Promise<void> {
  await repeat({ fault: "directory suspended for a minute", ...ONE_MINUTE }, async () => {
    await using session = await openSession(stack.startSsh("cat"));
    const since = performance.now();
    process.kill(stack.directory.pid, "SIGSTOP");
    await delay(SUSPENDED_MS - 1_000);
    session.stdin.write("meanwhile\n");
    await session.line(/^meanwhile$/);
    await delay(SUSPENDED_MS - (performance.now() - since));
    const ms = await goOn(stack.directory, (resumed) => untilSshnpWorks(stack, resumed));
    session.stdin.end("after\n");
    expect(await session.exit()).toMatchObject({ code: 0, stdout: "before\nmeanwhile\nafter\n" });
    return ms;
  });
}

/** The rendezvous' machine sleeps for a minute, and with it the sessions that it carries. */
export async function suspendedRendezvous({ stack }: DistantSystem): Promise<void> {
  await repeat({ fault: "rendezvous suspended for a minute", ...ONE_MINUTE }, async () => {
    await using session = await openSession(stack.startSsh("cat"));
    const since = performance.now();
    process.kill(stack.rendezvous.pid, "SIGSTOP");
    await expectBrokenOff(session);
    await delay(SUSPENDED_MS - (performance.now() - since));
    return await goOn(stack.rendezvous, (resumed) => untilSshnpWorks(stack, resumed));
  });
}

async function openSession(session: RunningProcess): Promise<RunningProcess> {
  session.stdin.write("before\n");
  await session.line(/^before$/);
  return session;
}

/** A path that answers nothing is given up 30 s after the PING that shows it; there is one every 15 s. */
async function expectBrokenOff(session: RunningProcess): Promise<void> {
  expect(await session.exit({ timeoutMs: 55_000 })).toMatchObject({ code: 255 });
  expect(session.stderr).toContain("does not answer any more");
}

function goOn(process_: RunningProcess, measure: (resumed: number) => Promise<number>): Promise<number> {
  return inTurn(async () => {
    process.kill(process_.pid, "SIGCONT");
    return await measure(performance.now());
  });
}
