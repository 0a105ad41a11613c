import { assert, double, nat, property } from "fast-check";
import { expect, test } from "vitest";
import { AskAgainError, NobodyThereError } from "../../directory/client.ts";
import { HelloTurns, type Waiting } from "../../directory/hello-turns.ts";
import { retryAfter, toldRetryAfter } from "../../directory/returning.ts";
import { UnavailableError } from "../../keys/errors.ts";
import {
  HELLO_BACKLOG_MS,
  HELLOS_AT_ONCE,
  LINK_LASTED_MS,
  RECONNECT_ABSENT_MS,
  RECONNECT_MS,
  RECONNECT_PROXY_ALONE,
  RETURN_SLOT_MS,
  TOLD_TO_RETURN_MS,
} from "../../protocol/limits.ts";
import { Backoff } from "../../sshnpd/backoff.ts";

const GOLDEN_RATIO = (Math.sqrt(5) - 1) / 2;
const refused = new UnavailableError("E_BUSY", "busy");
const absent = new UnavailableError("E_DIRECTORY", "away", { cause: new NobodyThereError("ECONNREFUSED") });
const proxyAlone = new UnavailableError("E_DIRECTORY", "takes no link", {
  cause: new NobodyThereError("status 502", { saidBy: "proxy" }),
});
const slot = (ms: number): AskAgainError => new AskAgainError("E_DIRECTORY", "stops", ms);
const latest = (): number => 1 - 2 ** -53;

test("while nobody is there it tries every 2 s at least, however long that lasts", () => {
  const backoff = new Backoff(latest);
  const waits = Array.from({ length: 50 }, () => backoff.after(absent, undefined));
  expect(waits.slice(0, 5)).toEqual([249, 499, 999, 1999, 1999]);
  expect(Math.max(...waits)).toBeLessThan(RECONNECT_ABSENT_MS);
});

test("a directory that is there and does not cope is left alone for longer and longer", () => {
  const backoff = new Backoff(latest);
  const waits = Array.from({ length: 50 }, () => backoff.after(refused, undefined));
  expect(waits.slice(0, 4)).toEqual([249, 499, 999, 1999]);
  expect(waits.at(-1)).toBe(RECONNECT_MS - 1);
  // That it is away in between is no sign that it copes.
  for (let i = 0; i < 50; i++) expect(backoff.after(absent, undefined)).toBeLessThan(RECONNECT_ABSENT_MS);
  expect(backoff.after(refused, undefined)).toBe(RECONNECT_MS - 1);
  // Nor is a link that it breaks off at once.
  expect(backoff.after(refused, LINK_LASTED_MS - 1)).toBe(RECONNECT_MS - 1);
});

test("a proxy is not believed for long that nobody is behind it", () => {
  const backoff = new Backoff(latest);
  const waits = Array.from({ length: 50 }, () => backoff.after(proxyAlone, undefined));
  expect(waits.slice(0, RECONNECT_PROXY_ALONE)).toEqual([249, 499, 999, 1999, 1999, 1999, 1999, 1999]);
  expect(waits.slice(RECONNECT_PROXY_ALONE, RECONNECT_PROXY_ALONE + 5)).toEqual([249, 499, 999, 1999, 3999]);
  expect(waits.at(-1)).toBe(RECONNECT_MS - 1);
  // That the proxy itself is away in between, that there is a new address, or a link that is broken off, changes nothing.
  expect(backoff.after(absent, undefined)).toBeLessThan(RECONNECT_ABSENT_MS);
  backoff.resetAbsences();
  expect(backoff.after(proxyAlone, undefined)).toBe(RECONNECT_MS - 1);
  expect(backoff.after(refused, LINK_LASTED_MS - 1)).toBe(RECONNECT_MS - 1);
  // After a link that has lasted it may be a restart again.
  backoff.after(refused, LINK_LASTED_MS);
  for (let i = 0; i < RECONNECT_PROXY_ALONE; i++) {
    expect(backoff.after(proxyAlone, undefined)).toBeLessThan(RECONNECT_ABSENT_MS);
  }
});

test("a new address says nothing about a directory that was there", () => {
  const backoff = new Backoff(latest);
  for (let i = 0; i < 50; i++) backoff.after(refused, undefined);
  for (let i = 0; i < 50; i++) backoff.after(absent, undefined);
  backoff.resetAbsences();
  expect(backoff.after(absent, undefined)).toBe(249);
  expect(backoff.after(refused, undefined)).toBe(RECONNECT_MS - 1);
});

test("a link that lasted, and another network, begin anew", () => {
  const backoff = new Backoff(latest);
  for (let i = 0; i < 50; i++) backoff.after(refused, undefined);
  expect(backoff.after(refused, LINK_LASTED_MS)).toBe(249);
  for (let i = 0; i < 50; i++) backoff.after(refused, undefined);
  backoff.reset();
  expect(backoff.after(refused, undefined)).toBe(249);
});

test("the slot that a directory tells at the end of a link that lasted is kept to, and is no failure", () => {
  const backoff = new Backoff(latest);
  for (const ms of [0, 7, 59_999]) expect(backoff.after(slot(ms), LINK_LASTED_MS)).toBe(ms);
  expect(backoff.after(refused, undefined)).toBe(249);
  expect(backoff.after(absent, undefined)).toBe(249);
});

test("slots at the end of links that did not last, which anybody on the path may tell, make no loop of dials", () => {
  const backoff = new Backoff(latest);
  expect(backoff.after(slot(0), LINK_LASTED_MS)).toBe(0);
  const waits = Array.from({ length: 50 }, (_, nth) => backoff.after(slot(0), nth % 2 === 0 ? 1 : undefined));
  expect(waits.slice(0, 4)).toEqual([249, 499, 999, 1999]);
  expect(waits.at(-1)).toBe(RECONNECT_MS - 1);
  expect(backoff.after(slot(7), LINK_LASTED_MS - 1)).toBe(RECONNECT_MS + 6);
  expect(backoff.after(slot(7), LINK_LASTED_MS)).toBe(7);
});

test("a directory that has too much to do is asked again when it says, and a while later each time", () => {
  const backoff = new Backoff(latest);
  const busy = new AskAgainError("E_BUSY", "busy", 5_000);
  const waits = Array.from({ length: 20 }, () => backoff.after(busy, undefined));
  expect(waits.slice(0, 5)).toEqual([5999, 5999, 5999, 6999, 8999]);
  expect(new Backoff(() => 0).after(busy, undefined)).toBe(5_000);
  expect(backoff.after(new AskAgainError("E_RATE", "many", 0), undefined)).toBeLessThan(RECONNECT_MS);
});

test("devices that are turned away come back as fast as turns go, and not in bursts at each full second", () => {
  const turns = new HelloTurns();
  const nobody: Waiting = { takeTurn: () => new Promise(() => {}), terminate: () => {} };
  for (let i = 0; i < HELLOS_AT_ONCE + HELLO_BACKLOG_MS / RETURN_SLOT_MS + 1; i++) turns.add({ ...nobody }, 0);
  const devices = 10_000;
  const tenths = new Map<number, number>();
  for (let i = 0; i < devices; i++) {
    const told = toldRetryAfter(retryAfter(turns.turnAway(0) ?? Number.NaN));
    const random = (i * GOLDEN_RATIO) % 1; // as even as any random numbers are in the long run
    const wait = new Backoff(() => random).after(new AskAgainError("E_BUSY", "busy", told), undefined);
    const tenth = Math.floor(wait / 100);
    tenths.set(tenth, (tenths.get(tenth) ?? 0) + 1);
  }
  expect(Math.max(...tenths.values())).toBeLessThan((100 / RETURN_SLOT_MS) * 1.2);
  expect(tenths.size).toBeLessThanOrEqual((devices * RETURN_SLOT_MS) / 100 + 20); // a second to round, a second to spread
});

test("no directory can send a device away for long", () => {
  assert(
    property(nat(1e9), double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (ms, at) => {
      const backoff = new Backoff(() => at);
      for (const code of ["E_DIRECTORY", "E_BUSY", "E_RATE"] as const) {
        const wait = backoff.after(new AskAgainError(code, "away with you", ms), undefined);
        expect(wait).toBeLessThanOrEqual(TOLD_TO_RETURN_MS + RECONNECT_MS);
      }
    }),
  );
});
