import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { LINK_PING_MS, METERED_PING_MS } from "../../protocol/limits.ts";
import { runProcess } from "../support/processes.ts";
import type { Bench } from "./bench.ts";
import { Services } from "./services.ts";

const DAY_S = 86_400;
const QUIET_MS = 1_000; // for what is said after the welcome
const RHYTHMS = [
  { isMetered: false, roundSeconds: LINK_PING_MS / 1000, most: 0.9 },
  { isMetered: true, roundSeconds: METERED_PING_MS / 1000, most: 0.3 },
];
/** Of each segment beside what it carries: IPv4 20, TCP 20, and its time stamps 12 (RFC 7323). */
const HEADER_BYTES = 52;

interface Traffic {
  readonly links: number;
  readonly bytes: number;
}

/** What an idle link sends and receives, counted by the kernel, whole rounds of its heartbeats long, and what that is in a day. */
export async function idleTraffic(bench: Bench): Promise<void> {
  const { folder, devices, people, seconds, signal, log, row } = bench;
  await using services = await Services.start({ folder: join(folder, "idle-traffic"), devices, people, signal, log });
  for (const { isMetered, roundSeconds, most } of RHYTHMS) {
    await services.bringUp({ isMetered });
    const { perDay, elapsed } = await measure(services, wholeRounds(seconds, roundSeconds), bench);
    await services.fleet.standDown();
    row({
      ...{
        name: `idle device${isMetered ? ", --metered" : ""}, traffic in a day, both ways`,
        unit: "MB",
        better: "lower",
      },
      ...{ ours: perDay / 1e6, peers: [], target: { value: most } },
      note: `${devices} devices, ${Math.round(elapsed)} s, extrapolated; IPv4 and TCP headers and acknowledgements counted, no TLS and no link layer`,
    });
  }
}

/** As many seconds, in whole rounds of heartbeats; less than one is no measurement, but tries the tool. */
function wholeRounds(seconds: number, roundSeconds: number): number {
  return seconds < 1 ? seconds : Math.max(1, Math.round(seconds / roundSeconds)) * roundSeconds;
}

/** Bytes of one link in a day, by what all of them carried in so many seconds. */
async function measure(
  { address }: Services,
  seconds: number,
  { devices, signal, log }: Bench,
): Promise<{ readonly perDay: number; readonly elapsed: number }> {
  log(`counting for ${seconds} s`);
  await delay(QUIET_MS, undefined, { signal });
  const port = Number(new URL(address).port);
  const before = await traffic(port);
  const begin = performance.now();
  await delay(seconds * 1000, undefined, { signal });
  const after = await traffic(port);
  const elapsed = (performance.now() - begin) / 1000;
  if (after.links !== devices || before.links !== devices) {
    throw new Error(`${before.links}, then ${after.links} of ${devices} devices are linked`);
  }
  return { perDay: ((after.bytes - before.bytes) / devices / elapsed) * DAY_S, elapsed };
}

/** All bytes, headers included, that the living connections to a port of this machine have carried so far, by the kernel's count. */
async function traffic(port: number): Promise<Traffic> {
  const words = ["-HOtin", "state", "established", `sport = :${port}`];
  const { stdout } = await runProcess("ss", words, { env: { HOME: "/nonexistent" }, cwd: "/" });
  const lines = stdout.split("\n").filter((line) => line !== "");
  const sum = (name: string): number =>
    lines.reduce((all, line) => all + Number(new RegExp(` ${name}:(\\d+)`).exec(line)?.[1] ?? 0), 0);
  const segments = sum("segs_out") + sum("segs_in");
  return { links: lines.length, bytes: sum("bytes_sent") + sum("bytes_received") + segments * HEADER_BYTES };
}
