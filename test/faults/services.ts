import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { LINK_LASTED_MS } from "../../protocol/limits.ts";
import type { DistantSystem } from "./network.ts";
import { alone, OFFLINE, ONLINE, repeat, timesSaid, untilSaid, untilSshnpWorks } from "./rounds.ts";

/** The directory ends and is started again; nobody touches the device. */
export async function directoryRestart({ stack }: DistantSystem): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await repeat({ fault: `directory restarted after ${signal}`, limitMs: 5_000, few: 2 }, async (round) => {
      // One that breaks its links off at once is left alone for longer; that is not what is measured here.
      await delay(LINK_LASTED_MS);
      return await alone(async () => {
        const { daemon } = stack;
        const [wasOnline, wasOffline] = [timesSaid(daemon.stdout, ONLINE), timesSaid(daemon.stdout, OFFLINE)];
        await stack.directory.kill(signal);
        await untilSaid(() => daemon.stdout, OFFLINE, wasOffline);
        await delay((round % 4) * 1_500); // the longer it is away, the rarer the device asks
        await stack.startDirectory();
        const since = performance.now();
        await untilSaid(() => daemon.stdout, ONLINE, wasOnline);
        return await untilSshnpWorks(stack, since);
      });
    });
  }
}

/** The rendezvous ends and is started again. */
export async function rendezvousRestart({ stack }: DistantSystem): Promise<void> {
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    await repeat({ fault: `rendezvous restarted after ${signal}`, limitMs: 5_000, few: 2 }, async () => {
      return await alone(async () => {
        await stack.rendezvous.kill(signal);
        await stack.startRendezvous();
        return await untilSshnpWorks(stack, performance.now());
      });
    });
  }
}
