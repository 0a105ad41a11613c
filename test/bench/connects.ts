import { join } from "node:path";
import { databaseIn, Postgres } from "../support/postgres.ts";
import type { Bench } from "./bench.ts";
import type { CallersAnswer, Load } from "./callers-commands.ts";
import { cpuSecondsOf } from "./proc.ts";
import { Services, type ServicesOptions } from "./services.ts";
import { percentile } from "./table.ts";

/** Sessions at once where they come as fast as they go. */
const AT_ONCE = 24;
/** Sessions asked for in a second where they come at a steady rate: half of what is aimed at. */
const STEADY_PER_SECOND = 150;
const WARM_UP_SECONDS = 10; // for V8 to have compiled what is used most; less where the whole is shorter
const FEW_DEVICES = 1_000;
const STORE_DEVICES = 200; // what a store costs does not go by the devices that wait

export interface Storm {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** CPU seconds for 1,000 connects. */
  readonly directoryCpu: number;
  readonly rendezvousCpu: number;
  readonly endsCpu: number;
  readonly failures: string;
  readonly connects: number;
}

/** Sessions asked for as fast as they go, and at a steady rate, through one directory and one rendezvous, while a fleet is linked. */
export async function connects(bench: Bench): Promise<void> {
  const { devices } = bench;
  await using services = await Services.start(optionsOf(bench, "connects", devices));
  await services.bringUp();
  const fast = await storm(services, bench, { perSecond: 0, atOnce: AT_ONCE });
  const steady = await storm(services, bench, { perSecond: STEADY_PER_SECOND, atOnce: 0 });
  const lower = { better: "lower", peers: [] } as const;
  const what = `${devices} devices`;
  bench.row({
    ...{
      name: `connects, ${what}, as fast as they go`,
      unit: "1/s",
      better: "higher",
      ours: fast.perSecond,
      peers: [],
    },
    ...{ target: { value: 300 }, note: `${AT_ONCE} at once, all ends on this machine's cores; ${noteOf(fast)}` },
  });
  bench.row({ ...lower, name: "the same, p50", unit: "ms", ours: fast.p50 });
  bench.row({ ...lower, name: "the same, p99", unit: "ms", ours: fast.p99, target: { value: 100 } });
  bench.row({
    ...{ ...lower, name: `connects, ${what}, at ${STEADY_PER_SECOND} a second, p50`, unit: "ms", ours: steady.p50 },
    note: noteOf(steady),
  });
  bench.row({ ...lower, name: "the same, p99", unit: "ms", ours: steady.p99, target: { value: 100 } });
  for (const [name, ours] of [
    ["directory's CPU for 1,000 connects", steady.directoryCpu],
    ["rendezvous's CPU for 1,000 connects", steady.rendezvousCpu],
    ["the ends' CPU for 1,000 connects", steady.endsCpu],
  ] as const) {
    bench.row({ ...lower, name, unit: "s", ours });
  }
}

/** The same as fast as they go on LevelDB, on PostgreSQL, and through two directories on that, each asked for a device of the other. */
export async function connectsByStore(bench: Bench): Promise<void> {
  const devices = Math.min(bench.devices, STORE_DEVICES);
  const measure = async (name: string, more: Partial<ServicesOptions>): Promise<Storm> => {
    bench.log(name);
    await using services = await Services.start({ ...optionsOf(bench, name, devices), ...more });
    await services.bringUp();
    return await storm(services, bench, { perSecond: 0, atOnce: AT_ONCE });
  };
  const level = await measure("on-leveldb", {});
  await using postgres = await Postgres.start();
  const url = async (): Promise<string> => await databaseIn(postgres.serverUrl);
  const one = await measure("on-postgresql", { words: ["--store", await url()] });
  const two = await measure("two-directories", { words: ["--store", await url()], isDoubled: true });
  const onLevel = (value: number) => [{ name: "on LevelDB", value }];
  bench.row({
    ...{ name: "connects, one directory on PostgreSQL", unit: "1/s", better: "higher", ours: one.perSecond },
    ...{ peers: onLevel(level.perSecond), target: { timesPeer: 0.7 } },
    note: `LevelDB: ${noteOf(level)}; PostgreSQL, whose own CPU is not counted: ${noteOf(one)}`,
  });
  bench.row({
    ...{ name: "connects, two directories on PostgreSQL", unit: "1/s", better: "higher", ours: two.perSecond },
    ...{ peers: [{ name: "one", value: one.perSecond }], target: { timesPeer: 1.6 } },
    note: `each is asked at one for a device of the other; the target is for where cores allow it; ${noteOf(two)}`,
  });
  bench.row({
    ...{ name: "the same, p99, one on PostgreSQL", unit: "ms", better: "lower", ours: one.p99 },
    peers: onLevel(level.p99),
  });
  bench.row({
    ...{ name: "directory's CPU for 1,000, one on PostgreSQL", unit: "s", better: "lower", ours: one.directoryCpu },
    peers: [...onLevel(level.directoryCpu), { name: "two directories, both", value: two.directoryCpu }],
  });
}

/** What a connect costs the directory where few devices wait, and where many do. */
export async function connectsByDevices(bench: Bench): Promise<void> {
  const measure = async (devices: number): Promise<Storm> => {
    await using services = await Services.start(optionsOf(bench, `devices-${devices}`, devices));
    await services.bringUp();
    return await storm(services, bench, { perSecond: STEADY_PER_SECOND, atOnce: 0 });
  };
  const few = await measure(Math.min(FEW_DEVICES, Math.ceil(bench.devices / 15)));
  const many = await measure(bench.devices);
  bench.row({
    ...{ name: `directory's CPU for 1,000 connects, ${bench.devices} devices`, unit: "s", better: "lower" },
    ours: many.directoryCpu,
    peers: [{ name: "a fifteenth of them", value: few.directoryCpu }],
    target: { timesPeer: 1.1 },
    note: `what the idle links cost is taken off; few: ${noteOf(few)}; many: ${noteOf(many)}`,
  });
}

function optionsOf({ folder, people, signal, log }: Bench, name: string, devices: number): ServicesOptions {
  return { folder: join(folder, name), devices, people, signal, log };
}

/** One load, with the processor time of all who take part; of the directories what they need without it is taken off. */
export async function storm(
  { directory, second, rendezvous, fleet, callers }: Services,
  { seconds, signal, log }: Pick<Bench, "seconds" | "signal" | "log">,
  load: Load,
): Promise<Storm> {
  log("warming up");
  await callers.connect({ ...load, seconds: Math.min(WARM_UP_SECONDS, seconds) });
  const directories = [directory, ...(second === undefined ? [] : [second])].map(({ pid }) => pid);
  const cpu = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  const idle = await idleCpu(directories, seconds, signal);
  log(load.perSecond === 0 ? `${load.atOnce} at once for ${seconds} s` : `${load.perSecond} a second for ${seconds} s`);
  const groups = [directories, [rendezvous.pid], fleet.pids];
  const before = groups.map(cpu);
  const answer = await callers.connect({ ...load, seconds });
  const [ofDirectories = 0, ofRendezvous = 0, ofFleet = 0] = groups.map((pids, i) => cpu(pids) - (before[i] ?? 0));
  signal.throwIfAborted();
  const { times, elapsedMs } = answer;
  if (times.length === 0) throw new Error(`no session came about: ${failuresOf(answer)}`);
  const forThousand = (used: number): number => (1000 * used) / times.length;
  return {
    perSecond: (1000 * times.length) / elapsedMs,
    p50: percentile(times, 0.5),
    p99: percentile(times, 0.99),
    directoryCpu: forThousand(ofDirectories - (idle * elapsedMs) / 1000),
    rendezvousCpu: forThousand(ofRendezvous),
    endsCpu: forThousand(ofFleet + answer.cpuSeconds),
    failures: failuresOf(answer),
    connects: times.length,
  };
}

/** Processor seconds that they use in one second while nobody asks. */
async function idleCpu(pids: readonly number[], seconds: number, signal: AbortSignal): Promise<number> {
  const { setTimeout: delay } = await import("node:timers/promises");
  const cpu = (): number => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  const [before, begin] = [cpu(), performance.now()];
  await delay(Math.min(seconds, IDLE_SECONDS) * 1000, undefined, { signal });
  return (1000 * (cpu() - before)) / (performance.now() - begin);
}

const IDLE_SECONDS = 20; // one round of the heartbeats

/** Failed connects by code. */
export function failuresOf({ failures }: Pick<CallersAnswer, "failures">): string {
  const all = Object.entries(failures).map(([code, count]) => `${count} x ${code}`);
  return all.length === 0 ? "none failed" : all.join(", ");
}

function noteOf({ connects: count, failures, directoryCpu, rendezvousCpu, endsCpu }: Storm): string {
  const cpu = `CPU s for 1,000: directory ${directoryCpu.toFixed(2)}, rendezvous ${rendezvousCpu.toFixed(2)}, ends ${endsCpu.toFixed(2)}`;
  return `${count} connects, ${failures}; ${cpu}`;
}
