import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { LinkCondition } from "../support/slow-link.ts";
import type { Stack } from "../support/stack.ts";
import type { DistantSystem } from "./network.ts";
import { inTurn, LINK_DOWN, OFFLINE, repeat, report, timesSaid, untilSaid, untilSshnpWorks, wanted } from "./rounds.ts";

/** The device's packets stop both ways, and nobody is told. */
export async function halfOpen({ stack, deviceLink }: DistantSystem): Promise<void> {
  const { daemon, directory } = stack;
  const atDevice: number[] = [];
  const atDirectory: number[] = [];
  await repeat({ fault: "half-open link for 30 s, then mended", limitMs: 5_000, few: 1, most: 4 }, async (round) => {
    await delay(round * 6_000); // at another moment between two heartbeats each time
    const [wasOffline, wasDown] = [timesSaid(daemon.stdout, OFFLINE), timesSaid(directory.stderr, LINK_DOWN)];
    const since = performance.now();
    await deviceLink.cut();
    await Promise.all([
      untilSaid(() => daemon.stdout, OFFLINE, wasOffline, { since }).then((ms) => atDevice.push(ms)),
      untilSaid(() => directory.stderr, LINK_DOWN, wasDown, { since }).then((ms) => atDirectory.push(ms)),
    ]);
    await delay(round * 2_500); // the longer it lasts, the rarer a kernel asks
    return await inTurn(async () => {
      const mended = performance.now();
      await deviceLink.mend();
      return await untilSshnpWorks(stack, mended);
    });
  });
  report({ fault: "half-open link: the device logs it", limitMs: 30_000 }, atDevice);
  report({ fault: "half-open link: the directory logs it", limitMs: 30_000 }, atDirectory);
}

const LINES: readonly (readonly [string, Partial<LinkCondition>])[] = [
  ["10 % loss each way", { delayMs: 0, loss: 0.1 }],
  ["600 ms round trips", { delayMs: 300, loss: 0 }],
  ["10 % loss and 600 ms round trips", { delayMs: 300, loss: 0.1 }],
];
const CONNECT_MS = 60_000; // that it succeeds is the promise; ssh's own handshake is ten of these long round trips
const AT_ONCE = 5; // most of such a connect is waiting

/** Both links are bad, to the server and from it. Each connect is one try of `sshnp`, from its start to ssh's first word. */
export async function badLines({ stack, deviceLink, clientLink }: DistantSystem): Promise<void> {
  for (const [line, condition] of LINES) {
    for (const link of [deviceLink, clientLink]) await link.set(condition);
    const times: number[] = [];
    const count = wanted({ few: 2 });
    while (times.length < count) {
      const batch = Array.from({ length: Math.min(AT_ONCE, count - times.length) }, () => connectOnce(stack));
      times.push(...(await Promise.all(batch)));
    }
    report({ fault: `connect over ${line}`, limitMs: CONNECT_MS }, times);
  }
}

async function connectOnce(stack: Stack): Promise<number> {
  const since = performance.now();
  await using ssh = stack.startSsh("echo", "connected");
  try {
    await ssh.line(/^connected$/, { timeoutMs: CONNECT_MS });
    const ms = performance.now() - since;
    expect(await ssh.exit({ timeoutMs: 60_000 })).toMatchObject({ code: 0, stdout: "connected\n" });
    return ms;
  } catch (error) {
    process.stderr.write(`${String(error)}\n`);
    return Number.POSITIVE_INFINITY;
  }
}
