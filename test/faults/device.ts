import { performance } from "node:perf_hooks";
import { expect } from "vitest";
import type { DistantSystem } from "./network.ts";
import { alone, repeat, untilSshnpWorks } from "./rounds.ts";

/**
 * The device's power goes: its packets stop, nobody says goodbye, its connections are forgotten there and stay open at the
 * directory. Then the link is back, and the daemon is started.
 */
export async function powerCut(system: DistantSystem): Promise<void> {
  const { stack, deviceLink } = system;
  await repeat({ fault: "power cut, daemon started again", limitMs: 5_000, few: 3 }, async () => {
    const before = await system.linksAtDirectory();
    expect(before).toHaveLength(1);
    await cutPower(system);
    return await alone(async () => {
      const since = performance.now();
      await deviceLink.mend();
      expect(await system.linksAtDirectory()).toEqual(before); // the stale one that a returning device must not stumble over
      const [ms] = await Promise.all([untilSshnpWorks(stack, since), stack.startDaemon()]);
      expect(await system.linksAtDirectory()).toHaveLength(1);
      return ms;
    });
  });
}

async function cutPower(system: DistantSystem): Promise<void> {
  await system.deviceLink.cut();
  await system.stack.daemon.kill("SIGKILL");
  await system.forgetConnections();
}
