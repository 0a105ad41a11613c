import { setMaxListeners } from "node:events";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import type { RunningProcess } from "../support/processes.ts";
import type { Attack } from "./attack.ts";
import { honestConnect } from "./honest-client.ts";
import {
  forEach,
  observe,
  type Observed,
  PROCESSES,
  type ProcessName,
  processesOf,
  settled,
  watch,
} from "./observe.ts";
import type { Target } from "./target.ts";

/** The requirement, see docs/limits.md. */
export const GROWTH_BYTES = 20 * 1024 * 1024;
export const CONNECTS = 20;
export const CONNECT_P99_MS = 1_000;
export const RELEASE_MS = 20_000;

export interface Outcome {
  readonly name: string;
  readonly seconds: number;
  /** What the attack says it did. */
  readonly done: string;
  /** Bytes by which each process was larger than before, at its largest; than with the same honest transfers alone, if there are any. */
  readonly growth: Readonly<Record<ProcessName, number>>;
  /** Milliseconds of each honest connect that succeeded, from the fastest to the slowest. */
  readonly connects: readonly number[];
  /** Why the others did not. */
  readonly failures: readonly string[];
  /** Sockets and files of each process: before; at the most; after the attack, when they were as before or time was up. */
  readonly descriptors: Readonly<Record<ProcessName, readonly [before: number, most: number, after: number]>>;
  /** How often the device lost its link to the directory. */
  readonly linksLost: number;
  /** Milliseconds until the descriptors were as before; undefined when they were not. */
  readonly released: number | undefined;
}

/** The time that 99 of 100 connects do not exceed; of twenty, the slowest. */
export function p99({ connects }: Pick<Outcome, "connects">): number {
  return connects[Math.ceil(connects.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY;
}

/** What is not as it must be, in words; the time of connects only if `withTimes`. */
export function shortcomings(outcome: Outcome, { withTimes }: { readonly withTimes: boolean }): string[] {
  const found = outcome.failures.map((failure) => `a connect failed: ${failure}`);
  for (const name of PROCESSES) {
    const grown = outcome.growth[name];
    if (grown > GROWTH_BYTES) found.push(`${name} grew by ${megabytes(grown)}`);
  }
  if (outcome.connects.length < CONNECTS) found.push(`${outcome.connects.length} of ${CONNECTS} connects succeeded`);
  if (withTimes && p99(outcome) > CONNECT_P99_MS) found.push(`a connect took ${p99(outcome).toFixed(0)} ms`);
  if (outcome.linksLost > 0) found.push(`the device lost its link ${outcome.linksLost} times`);
  if (outcome.released === undefined) found.push(`descriptors were not given back: ${descriptorText(outcome)}`);
  return found;
}

/** One line for people. */
export function summary(outcome: Outcome): string {
  const growth = PROCESSES.map((name) => `${name} ${megabytes(outcome.growth[name])}`).join(", ");
  const times = `p50 ${(outcome.connects[outcome.connects.length >> 1] ?? Number.NaN).toFixed(0)} ms, p99 ${p99(outcome).toFixed(0)} ms`;
  const connects = `${outcome.connects.length} of ${CONNECTS} connects, ${times}`;
  const back = outcome.released === undefined ? "not back" : `back in ${(outcome.released / 1000).toFixed(1)} s`;
  return `${outcome.name}: grew ${growth}; ${connects}; descriptors ${descriptorText(outcome)}, ${back}; ${outcome.done}`;
}

/** Connects after which the processes do not become larger by more of them. */
const WARM_UP = 80;

/** Lets new processes load what they load late, and grow as any load makes them grow once. */
async function warmUp(target: Target): Promise<void> {
  const processes = Object.values(processesOf(target));
  if (processes.every((process) => warm.has(process))) return;
  for (let i = 0; i < WARM_UP; i += 4) await Promise.all(Array.from({ length: 4 }, () => honestConnect(target.stack)));
  for (const process of processes) warm.add(process);
}

const warm = new WeakSet<RunningProcess>();

/**
 * Lets the attack prepare. Resolves to the most that the processes took meanwhile, if there will be honest transfers beside the
 * attack: they take memory without it, too, and give some of it back when they have ended.
 */
async function prepare(
  attack: Attack,
  target: Target,
  signal: AbortSignal,
): Promise<Record<ProcessName, Observed> | undefined> {
  const preparing = attack.prepare?.(target, signal);
  if (attack.meanwhile === undefined) {
    await preparing;
    return undefined;
  }
  const processes = processesOf(target);
  const most = observe(processes);
  const ready = new AbortController();
  const watching = watch(processes, most, ready.signal);
  try {
    await preparing;
  } finally {
    ready.abort();
    await watching;
  }
  return most;
}

/** Runs one attack for `seconds`, and CONNECTS honest connects spread over it; it goes on until the last of them was made. */
export async function measure(
  attack: Attack,
  target: Target,
  { seconds, signal }: { readonly seconds: number; readonly signal: AbortSignal },
): Promise<Outcome> {
  setMaxListeners(0, signal); // each of many requests listens
  const prepared = await prepare(attack, target, signal);
  await warmUp(target);
  const processes = processesOf(target);
  await settled(processes, signal);
  const before = observe(processes);
  for (const name of PROCESSES) before[name].memory = Math.max(before[name].memory, prepared?.[name].memory ?? 0);
  const lostBefore = linksLost(target);
  const most = structuredClone(before);

  // A composite of a time-out would be collected as garbage while nobody listens to it (Node 20).
  const time = new AbortController();
  const over = time.signal;
  setMaxListeners(0, over);
  signal.addEventListener("abort", () => time.abort(), { once: true });
  const watching = watch(processes, most, over);
  const attacking =
    attack.from === "elsewhere" ? target.attackers.run(attack, target.site, over) : attack.run(target, over);
  const honest = connectAllAlong(target, seconds, over);
  const lasts = Promise.all([delay(seconds * 1000, undefined, { signal: over }).catch(() => {}), honest]);
  void lasts.finally(() => time.abort()).catch(() => {});
  const meanwhile = attack.meanwhile?.(target, over);
  const all = Promise.all([attacking, honest, meanwhile, watching]);
  // Nothing of an attack that has failed may go on beside the next one.
  all.catch(() => time.abort());
  await Promise.allSettled([attacking, honest, meanwhile, watching]);
  const [attacked, { connects, failures }, more] = await all;
  signal.throwIfAborted();

  const ended = performance.now();
  let after = observe(processes);
  while (PROCESSES.some((name) => after[name].descriptors > before[name].descriptors)) {
    if (performance.now() - ended > RELEASE_MS) break;
    await delay(100, undefined, { signal });
    after = observe(processes);
  }
  const isReleased = PROCESSES.every((name) => after[name].descriptors <= before[name].descriptors);
  return {
    name: attack.name,
    seconds,
    done: more === undefined ? attacked : `${attacked}; ${more}`,
    growth: forEach((name) => most[name].memory - before[name].memory),
    connects: connects.sort((a, b) => a - b),
    failures,
    linksLost: linksLost(target) - lostBefore,
    descriptors: forEach((name) => [before[name].descriptors, most[name].descriptors, after[name].descriptors]),
    released: isReleased ? performance.now() - ended : undefined,
  };
}

/** By the log of the directory that runs now. */
function linksLost({ stack }: Target): number {
  return stack.directory.stderr.split('"device":"@device/mygateway","msg":"link down"').length - 1;
}

/** The first connect comes when the attack has had a part of its time. None is made any more when `signal` is aborted. */
async function connectAllAlong(
  { stack }: Target,
  seconds: number,
  signal: AbortSignal,
): Promise<{ readonly connects: number[]; readonly failures: string[] }> {
  const connects: number[] = [];
  const failures: string[] = [];
  const began = performance.now();
  for (let i = 1; i <= CONNECTS; i++) {
    const due = began + (seconds * 1000 * i) / (CONNECTS + 2);
    await delay(Math.max(0, due - performance.now()), undefined, { signal }).catch(() => {});
    if (signal.aborted) break;
    try {
      connects.push(await honestConnect(stack));
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  return { connects, failures };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function descriptorText({ descriptors }: Outcome): string {
  return PROCESSES.map((name) => descriptors[name].join("-")).join(", ");
}
