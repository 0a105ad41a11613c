import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { NETWORK_POLL_MS, UNPAIRED_LEG_MS } from "../../protocol/limits.ts";
import { joinByVeth } from "../support/namespaces.ts";
import { type DistantSystem, INTERFACE, SERVER_END } from "./network.ts";
import { inTurn, OFFLINE, ONLINE, repeat, timesSaid, untilSaid, untilSshnpWorks } from "./rounds.ts";

/**
 * The device's power goes: its packets stop, nobody says goodbye, its connections are forgotten there and stay open at the
 * directory. Then the link is back, and the daemon is started.
 */
export async function powerCut(system: DistantSystem): Promise<void> {
  const { stack, deviceLink } = system;
  await repeat({ fault: "power cut, daemon started again", limitMs: 5_000, few: 3 }, async () => {
    return await inTurn(async () => {
      for (let attempt = 1; ; attempt++) {
        await system.acknowledged();
        const before = await system.linksAtDirectory();
        expect(before).toHaveLength(1);
        await cutPower(system);
        const since = performance.now();
        await deviceLink.mend();
        const stale = await system.linksAtDirectory();
        if (stale.length === 0 && attempt < 3) {
          await stack.startDaemon(); // a heartbeat was under way: sent again after the cut, it was answered with a reset
          continue;
        }
        expect(stale).toEqual(before); // what a returning device must not stumble over
        const [ms] = await Promise.all([untilSshnpWorks(stack, since), stack.startDaemon()]);
        expect(await system.linksAtDirectory()).toHaveLength(1);
        return ms;
      }
    });
  });
}

/**
 * The power goes, and somebody asks for the device before the directory has noticed; then it is away for long, and back. The
 * one who asked waits all the time.
 */
export async function powerCutWhileWaiting(system: DistantSystem): Promise<void> {
  const { stack, deviceLink } = system;
  await repeat({ fault: "power cut with sshnp --wait outstanding", limitMs: 5_000, few: 1, most: 4 }, async () => {
    await cutPower(system);
    await using waiting = stack.client.start("sshnp", "--wait", ...stack.words("echo delivered"));
    await waiting.errorLine(/waiting for mygateway of @device: last seen /, { timeoutMs: 50_000 });
    return await inTurn(async () => {
      const since = performance.now();
      await deviceLink.mend();
      await stack.startDaemon();
      await waiting.line(/^delivered$/);
      const ms = performance.now() - since;
      expect(await waiting.exit()).toMatchObject({ code: 0 });
      return ms;
    });
  });
}

/** As before, but it is back when the client's leg has waited in vain and the directory has noticed nothing yet. */
export async function powerCutWhileAsking(system: DistantSystem): Promise<void> {
  const { stack, deviceLink } = system;
  await repeat({ fault: "power cut with a plain sshnp outstanding", limitMs: 5_000, few: 1, most: 4 }, async () => {
    await cutPower(system);
    const cut = performance.now();
    await using asking = stack.startSsh("echo answered");
    await delay(UNPAIRED_LEG_MS / 2); // a turn may be long in coming
    return await inTurn(async () => {
      await delay(cut + UNPAIRED_LEG_MS + 4_000 - performance.now());
      const since = performance.now();
      await deviceLink.mend();
      await stack.startDaemon();
      await asking.line(/^answered$/);
      const ms = performance.now() - since;
      expect(await asking.exit()).toMatchObject({ code: 0 });
      return ms;
    });
  });
}

/** The device gets another address on its interface; then another cable with another network; and so on. */
export async function addressChange(system: DistantSystem): Promise<void> {
  const { stack, device, server } = system;
  const second = { name: "np1", address: "10.3.0.2/24", gateway: "10.3.0.1" };
  await joinByVeth(
    { namespace: device, name: second.name, address: "10.3.0.9/24" },
    { namespace: server, name: "device1", address: `${second.gateway}/24` },
  );
  const places = [
    { name: INTERFACE, address: "10.1.0.3/24", gateway: SERVER_END },
    second,
    { name: INTERFACE, address: "10.1.0.2/24", gateway: SERVER_END },
  ];
  await device.ip("address", "flush", "dev", second.name);
  // Noticed within 2 s, back within 5 s.
  await repeat({ fault: "IP change of the device", limitMs: 7_000, few: 3 }, async (round) => {
    const place = places[round % places.length] ?? second;
    return await inTurn(async () => {
      for (const name of [INTERFACE, second.name]) await device.ip("address", "flush", "dev", name);
      const since = performance.now();
      await device.ip("address", "add", place.address, "dev", place.name);
      await device.ip("route", "add", "default", "via", place.gateway);
      return await untilSshnpWorks(stack, since);
    });
  });
}

/** Another address comes while the line of the old one is dead: that is found out before any heartbeat is due. */
export async function addressChangeOnDeadLine(system: DistantSystem): Promise<void> {
  const { stack, device, deviceLink } = system;
  const fault = "IP change on a dead line: the device logs it";
  await repeat({ fault, limitMs: 8_000, few: 1, most: 4 }, async (round) => {
    const wasOffline = timesSaid(stack.daemon.stdout, OFFLINE);
    const wasOnline = timesSaid(stack.daemon.stdout, ONLINE);
    await deviceLink.cut();
    const since = performance.now();
    await device.ip("address", "add", `10.4.0.${round + 1}/32`, "dev", "lo");
    const ms = await untilSaid(() => stack.daemon.stdout, OFFLINE, wasOffline, { since });
    await deviceLink.mend();
    await untilSaid(() => stack.daemon.stdout, ONLINE, wasOnline);
    return ms;
  });
}

/** Addresses come and go as those of containers do, while the daemon links over a line on which that takes several looks at them. */
export async function otherAddressesComeAndGo(system: DistantSystem): Promise<void> {
  const { stack, device, deviceLink } = system;
  const fault = "other addresses come and go: a daemon is linked over 1.4 s round trips";
  await repeat({ fault, limitMs: 20_000, few: 1, most: 4 }, async () => {
    await stack.daemon.kill("SIGTERM");
    await deviceLink.set({ delayMs: 700 });
    const since = performance.now();
    const linked = new AbortController();
    const churn = async (): Promise<void> => {
      for (let number = 1; !linked.signal.aborted; number = (number % 200) + 1) {
        await device.ip("address", "add", `172.17.0.${number}/32`, "dev", "lo");
        await delay(NETWORK_POLL_MS / 4, undefined, { signal: linked.signal }).catch(() => {});
        await device.ip("address", "del", `172.17.0.${number}/32`, "dev", "lo");
      }
    };
    const [ms] = await Promise.all([
      stack
        .startDaemon()
        .then(() => performance.now() - since)
        .finally(() => linked.abort()),
      churn(),
    ]);
    expect(stack.daemon.stderr).not.toContain('"msg":"offline"'); // it took one attempt
    await deviceLink.set({ delayMs: 0 });
    return ms;
  });
}

async function cutPower(system: DistantSystem): Promise<void> {
  await system.deviceLink.cut();
  await system.stack.daemon.kill("SIGKILL");
  await system.forgetConnections();
}
