import { describe, test } from "vitest";
import {
  addressChange,
  addressChangeOnDeadLine,
  powerCut,
  powerCutWhileAsking,
  powerCutWhileWaiting,
} from "./device.ts";
import { badLines, halfOpen } from "./line.ts";
import { CAN_FAKE_NETWORKS, DistantSystem } from "./network.ts";
import { inTurn } from "./rounds.ts";
import { servicesKilled, servicesStopped } from "./services.ts";
import { suspendedDaemon, suspendedDirectory, suspendedRendezvous } from "./suspend.ts";

type Fault = (system: DistantSystem) => Promise<void>;

// Each has a system of its own, and goes through its faults one after the other. What waits longest comes first.
const SCENARIOS: readonly { readonly name: string; readonly faults: readonly Fault[] }[] = [
  { name: "a device that slept", faults: [suspendedDaemon] },
  { name: "a directory that slept", faults: [suspendedDirectory] },
  { name: "a rendezvous that slept", faults: [suspendedRendezvous] },
  { name: "a line that is dead and looks alive", faults: [halfOpen] },
  { name: "a device without power that somebody waits for", faults: [powerCutWhileWaiting, powerCutWhileAsking] },
  { name: "lines that are slow and lossy", faults: [badLines] },
  {
    name: "a device without power or with another address",
    faults: [powerCut, addressChange, addressChangeOnDeadLine],
  },
  { name: "services that are stopped and started again", faults: servicesStopped },
  { name: "services that are killed and started again", faults: servicesKilled },
];

describe.skipIf(!CAN_FAKE_NETWORKS)("back in seconds", { timeout: 8 * 60_000 }, () => {
  test.concurrent.each(SCENARIOS.map((scenario) => [scenario.name, scenario] as const))(
    "after %s",
    async (_, { faults }) => {
      await using system = await inTurn(() => DistantSystem.start());
      for (const fault of faults) await fault(system);
    },
  );
});
