import { describe, test } from "vitest";
import { powerCut } from "./device.ts";
import { CAN_FAKE_NETWORKS, DistantSystem } from "./network.ts";
import { alone } from "./rounds.ts";
import { directoryRestart, rendezvousRestart } from "./services.ts";

const MINUTES = 60_000;

describe.skipIf(!CAN_FAKE_NETWORKS).concurrent("back in seconds", { timeout: 8 * MINUTES }, () => {
  test("a device after a power cut", async () => {
    await using system = await alone(() => DistantSystem.start());
    await powerCut(system);
  });

  test("everybody after a restart of the services", async () => {
    await using system = await alone(() => DistantSystem.start());
    await rendezvousRestart(system);
    await directoryRestart(system);
  });
});
