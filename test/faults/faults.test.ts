import { describe, test } from "vitest";
import {
  addressChange,
  addressChangeOnDeadLine,
  otherAddressesComeAndGo,
  powerCut,
  powerCutWhileAsking,
  powerCutWhileWaiting,
} from "./device.ts";
import { badLines, halfOpen } from "./line.ts";
import { CAN_FAKE_NETWORKS, DistantSystem } from "./network.ts";
import { inTurn } from "./rounds.ts";
import { directoryRestarts, rendezvousRestarts } from "./services.ts";
import { suspendedDaemon, suspendedDirectory, suspendedRendezvous } from "./suspend.ts";

type Fault = (system: DistantSystem) => Promise<void>;

// Each has a system of its own, and goes through its faults one after the other. What waits longest comes first.
const SCENARIOS: readonly (readonly [string, readonly Fault[]])[] = [
  ["a device that slept", [suspendedDaemon]],
  ["a directory that slept", [suspendedDirectory]],
  ["a rendezvous that slept", [suspendedRendezvous]],
  ["a line that is dead and looks alive", [halfOpen]],
  ["a device without power that somebody waits for", [powerCutWhileWaiting, powerCutWhileAsking]],
  ["lines that are slow and lossy", [badLines]],
  ["a device without power", [powerCut]],
  ["a device with another address", [addressChangeOnDeadLine, otherAddressesComeAndGo, addressChange]],
  ["services that are started again: a directory that was stopped", directoryRestarts.stopped],
  ["services that are started again: a directory that was killed", directoryRestarts.killed],
  ["services that are started again: a rendezvous", rendezvousRestarts],
];

describe.skipIf(!CAN_FAKE_NETWORKS)("back in seconds", { timeout: 15 * 60_000 }, () => {
  test.concurrent.each(SCENARIOS)("after %s", async (_, faults) => {
    await using system = await inTurn(() => DistantSystem.start());
    for (const fault of faults) await fault(system);
  });
});
