import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { LINK_LASTED_MS } from "../../protocol/limits.ts";
import type { DistantSystem } from "./network.ts";
import { inTurn, OFFLINE, ONLINE, repeat, timesSaid, untilSaid, untilSshnpWorks } from "./rounds.ts";

/** The directory ends and is started again; nobody touches the device. */
function directoryRestart(signal: NodeJS.Signals): (system: DistantSystem) => Promise<void> {
  return async ({ stack }) => {
    await repeat({ fault: `directory restarted after ${signal}`, limitMs: 5_000, few: 2 }, async (round) => {
      const { daemon } = stack;
      // One that breaks its links off at once is left alone for longer; that is not what is measured here.
      await delay(LINK_LASTED_MS);
      const [wasOnline, wasOffline] = [timesSaid(daemon.stdout, ONLINE), timesSaid(daemon.stdout, OFFLINE)];
      await stack.directory.kill(signal);
      await untilSaid(() => daemon.stdout, OFFLINE, wasOffline);
      await delay((round % 3) * 1_500); // the longer it is away, the rarer the device asks
      return await inTurn(async () => {
        await stack.startDirectory();
        const since = performance.now();
        await untilSaid(() => daemon.stdout, ONLINE, wasOnline);
        return await untilSshnpWorks(stack, since);
      });
    });
  };
}

/** The rendezvous ends and is started again. */
function rendezvousRestart(signal: NodeJS.Signals): (system: DistantSystem) => Promise<void> {
  return async ({ stack }) => {
    await repeat({ fault: `rendezvous restarted after ${signal}`, limitMs: 5_000, few: 2 }, async () => {
      return await inTurn(async () => {
        await stack.rendezvous.kill(signal);
        await stack.startRendezvous();
        return await untilSshnpWorks(stack, performance.now());
      });
    });
  };
}

type Faults = readonly ((system: DistantSystem) => Promise<void>)[];

export const directoryRestarts: Record<"stopped" | "killed", Faults> = {
  stopped: [directoryRestart("SIGTERM")],
  killed: [directoryRestart("SIGKILL")],
};
export const rendezvousRestarts: Faults = [rendezvousRestart("SIGTERM"), rendezvousRestart("SIGKILL")];
