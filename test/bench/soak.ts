import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../support/free-port.ts";
import { memoryOf } from "../support/memory.ts";
import type { Bench } from "./bench.ts";
import type { CallersAnswer } from "./callers-commands.ts";
import { failuresOf } from "./connects.ts";
import { Services } from "./services.ts";
import { percentile } from "./table.ts";

const CONNECTS_PER_SECOND = 20;
const SHAKE_MS = 1_000; // from one shake of the fleet to the next
const SAMPLES = 120; // at least a second apart
const BOUND_BYTES_PER_HOUR = 2_000_000; // below it a process is called flat; a leak of one object for each connect is far above

/** One look at a process. */
interface Look {
  /** Seconds since the start. */
  readonly at: number;
  readonly rss: number;
  readonly files: number;
}

/**
 * A mixed load for as long as it is told: connects, links that come and go, devices that get new keys, all of which are statements in the
 * log. Says what of directory and rendezvous grows meanwhile.
 */
export async function soak(bench: Bench): Promise<void> {
  const { folder, devices, people, seconds, signal, log, row } = bench;
  const metrics = await freePort();
  const words = ["--metrics", `127.0.0.1:${metrics}`];
  await using services = await Services.start({ folder: join(folder, "soak"), devices, people, words, signal, log });
  await services.bringUp();
  const watched = { directory: services.directory.pid, rendezvous: services.rendezvous.pid };
  const looks = { directory: [] as Look[], rendezvous: [] as Look[] };
  const begin = performance.now();
  const elapsed = (): number => (performance.now() - begin) / 1000;
  const look = (): void => {
    for (const name of ["directory", "rendezvous"] as const)
      looks[name].push({ at: elapsed(), ...lookAt(watched[name]) });
  };
  await services.callers.begin({ perSecond: CONNECTS_PER_SECOND, atOnce: 0 });
  const few = Math.max(1, Math.round(devices / 1000 / services.fleet.pids.length));
  const lagBefore = await lagOf(metrics);
  const step = Math.max(SHAKE_MS, (seconds * 1000) / SAMPLES);
  let shakes = 0;
  for (let nextLook = 0; elapsed() < seconds; ) {
    if (elapsed() * 1000 >= nextLook) {
      look();
      nextLook += step;
      const { linked } = await services.fleet.report();
      const { rss, files } = lookAt(watched.directory);
      log(
        `${Math.round(elapsed())} of ${seconds} s: ${linked} linked, directory ${Math.round(rss / 1e6)} MB, ${files} files`,
      );
    }
    await services.fleet.shake("relink", few);
    await services.fleet.shake("rotate", 1);
    shakes += 1;
    await delay(SHAKE_MS, undefined, { signal });
  }
  const answer: CallersAnswer = await services.callers.end();
  look();
  const lag = await lagOf(metrics);
  const rotated = shakes * services.fleet.pids.length;
  const did = `${answer.times.length} connects, ${failuresOf(answer)}; ${shakes * few * services.fleet.pids.length} links anew, ${rotated} new keys, each a statement`;
  const lower = { better: "lower", peers: [] } as const;
  for (const name of ["directory", "rendezvous"] as const) {
    const settled = looks[name].slice(Math.floor(looks[name].length / 4)); // what a start needs is no growth
    const [first, last] = [settled[0], settled.at(-1)];
    row({
      ...{ ...lower, name: `soak, ${name}'s RSS, slope`, unit: "MB/h", ours: slope(settled, ({ rss }) => rss) / 1e6 },
      ...(name === "directory" ? {} : { target: { value: BOUND_BYTES_PER_HOUR / 1e6 } }),
      note: `${mb(first?.rss)} MB after a quarter of ${seconds} s, ${mb(last?.rss)} MB at the end; ${did}`,
    });
    row({
      ...{
        ...lower,
        name: `soak, ${name}'s open files, slope`,
        unit: "1/h",
        ours: slope(settled, ({ files }) => files),
      },
      note: `${first?.files} and ${last?.files}`,
    });
  }
  row({
    ...{ ...lower, name: "soak, directory's event-loop lag, mean", unit: "ms" },
    ours: (1000 * (lag.sum - lagBefore.sum)) / Math.max(1, lag.count - lagBefore.count),
    note: `looked at ${lag.count - lagBefore.count} times by the directory itself (sshnp_event_loop_lag_seconds)`,
  });
  row({ ...lower, name: "soak, connects, p50", unit: "ms", ours: percentile(answer.times, 0.5) });
  row({ ...lower, name: "soak, connects, p99", unit: "ms", ours: percentile(answer.times, 0.99) });
}

function lookAt(pid: number): Omit<Look, "at"> {
  return { rss: memoryOf(pid).now, files: readdirSync(`/proc/${pid}/fd`).length };
}

/** By how much a value grows in an hour, by least squares. */
export function slope(looks: readonly Look[], value: (look: Look) => number): number {
  const mean = (of: (look: Look) => number): number => looks.reduce((sum, look) => sum + of(look), 0) / looks.length;
  const [time, middle] = [mean(({ at }) => at), mean(value)];
  const above = looks.reduce((sum, look) => sum + (look.at - time) * (value(look) - middle), 0);
  const below = looks.reduce((sum, { at }) => sum + (at - time) ** 2, 0);
  return below === 0 ? 0 : (3600 * above) / below;
}

/** What the directory says of how late its timers are: seconds in all, and how often it looked. */
async function lagOf(port: number): Promise<{ readonly sum: number; readonly count: number }> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const of = (what: string): number =>
    Number(new RegExp(`^sshnp_event_loop_lag_seconds_${what} (\\S+)$`, "m").exec(text)?.[1]);
  return { sum: of("sum"), count: of("count") };
}

function mb(bytes = Number.NaN): string {
  return (bytes / 1e6).toFixed(1);
}
