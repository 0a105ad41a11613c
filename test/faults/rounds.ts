import { appendFileSync } from "node:fs";
import { availableParallelism, loadavg } from "node:os";
import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import type { Stack } from "../support/stack.ts";

/** What `npm run faults` asks for; undefined in `npm test`, where a few rounds must do. */
const ASKED: number | undefined = Number(process.env["SSHNP_FAULT_ROUNDS"]) || undefined;

/** Added to each limit in `npm test`, beside which much else may run; `npm run faults` holds the promises themselves. */
const BUSY_MS = ASKED === undefined ? 10_000 : 0;

export interface Row {
  /** Of the table. */
  readonly fault: string;
  /** The promise, in ms. */
  readonly limitMs: number;
}

export interface Rounds extends Row {
  /** In `npm test`. */
  readonly few: number;
  /** At most so many, where each takes a minute. */
  readonly most?: number;
}

/** How many rounds there are to be. */
export function wanted({ few, most = Number.POSITIVE_INFINITY }: Pick<Rounds, "few" | "most">): number {
  return Math.min(ASKED ?? few, most);
}

/** Runs a fault several times. `round` returns the ms that it took to come back; every one must keep the promise. */
export async function repeat(rounds: Rounds, round: (index: number) => Promise<number>): Promise<void> {
  const times: number[] = [];
  for (let index = 0; index < wanted(rounds); index++) times.push(await round(index));
  report(rounds, times);
}

/** Prints the times, gives them to scripts/faults.mjs, and holds them to the promise. */
export function report({ fault, limitMs }: Row, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  const [p50, max] = [sorted[Math.floor((sorted.length - 1) / 2)] ?? 0, sorted.at(-1) ?? 0];
  const kept = times.filter((ms) => ms <= limitMs).length;
  const found = `p50 ${Math.round(p50)} ms, max ${Math.round(max)} ms, ${kept} of ${times.length} within ${limitMs} ms`;
  const load = `load ${(loadavg()[0] ?? 0).toFixed(1)} on ${availableParallelism()} processors`;
  process.stderr.write(`${fault}: ${found} (${load})\n`);
  const file = process.env["SSHNP_FAULT_REPORT"];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ fault, limitMs, times: times.map(Math.round) })}\n`);
  for (const ms of times) expect(ms, `${fault}, ${load}`).toBeLessThanOrEqual(limitMs + BUSY_MS);
}

let turn: Promise<unknown> = Promise.resolve();

/**
 * Runs `action` when no other one runs: starts of systems and the moments after a fault take turns, while the waits of all
 * tests overlap. Two at once would measure each other.
 */
export async function inTurn<T>(action: () => Promise<T>): Promise<T> {
  const mine = turn.then(action);
  turn = mine.catch(() => {});
  return await mine;
}

/** The ms from `since` until `sshnp` has brought a word through; it is run again and again until it does. */
export async function untilSshnpWorks(stack: Stack, since: number, limitMs = 60_000): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    await using ssh = stack.startSsh(`echo works ${attempt}`);
    const worked = await ssh.line(/^works /, { timeoutMs: limitMs }).then(
      () => performance.now(),
      () => undefined,
    );
    if (worked !== undefined) {
      expect(await ssh.exit()).toMatchObject({ code: 0 });
      return worked - since;
    }
    if (performance.now() - since > limitMs) throw new Error(`sshnp does not work again:\n${ssh.stderr}`);
  }
}

/** Waits until a process has said `pattern` once more than `before` times, and returns the ms since `since`. */
export async function untilSaid(
  said: () => string,
  pattern: RegExp,
  before: number,
  { since = performance.now(), timeoutMs = 40_000 }: { readonly since?: number; readonly timeoutMs?: number } = {},
): Promise<number> {
  const end = performance.now() + timeoutMs;
  while (timesSaid(said(), pattern) <= before) {
    if (performance.now() > end) throw new Error(`${String(pattern)} was not said in time:\n${said()}`);
    await delay(20);
  }
  return performance.now() - since;
}

/** How many whole lines match. */
export function timesSaid(text: string, pattern: RegExp): number {
  return text
    .split("\n")
    .slice(0, -1)
    .filter((line) => pattern.test(line)).length;
}

export const ONLINE = /^online: /;
export const OFFLINE = /^offline: /;
export const LINK_DOWN = /"msg":"link down"/;
