import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { runProcess } from "../support/processes.ts";
import type { Bench } from "./bench.ts";
import { Services } from "./services.ts";

const DAY_S = 86_400;
const ROUND_S = 20; // of the heartbeats, LINK_PING_MS
/** Of each segment beside what it carries: IPv4 20, TCP 20, and its time stamps 12 (RFC 7323). */
const HEADER_BYTES = 52;

interface Traffic {
  readonly links: number;
  readonly bytes: number;
}

/** What an idle link sends and receives, counted by the kernel, whole rounds of its heartbeats long, and what that is in a day. */
export async function idleTraffic(bench: Bench): Promise<void> {
  const { folder, devices, seconds, signal, log, row } = bench;
  await using services = await Services.start({ folder: join(folder, "idle-traffic"), devices, signal, log });
  await services.bringUp();
  const rounds = Math.max(1, Math.round(seconds / ROUND_S));
  log(`counting for ${rounds * ROUND_S} s`);
  await delay(ROUND_S * 1000, undefined, { signal }); // what is said after the welcome
  const port = Number(new URL(services.address).port);
  const before = await traffic(port);
  const begin = performance.now();
  await delay(rounds * ROUND_S * 1000, undefined, { signal });
  const after = await traffic(port);
  const elapsed = (performance.now() - begin) / 1000;
  if (after.links !== devices || before.links !== devices) {
    throw new Error(`${before.links}, then ${after.links} of ${devices} devices are linked`);
  }
  const perDay = ((after.bytes - before.bytes) / devices / elapsed) * DAY_S;
  row({
    ...{ name: "idle device, traffic in a day, both ways", unit: "MB", better: "lower", ours: perDay / 1e6, peers: [] },
    target: { value: 0.9 },
    note: `${devices} devices, ${Math.round(elapsed)} s, extrapolated; IPv4 and TCP headers and acknowledgements counted, no TLS and no link layer`,
  });
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
