import { expect, test } from "vitest";
import { DEFAULT_MAX_STARTUPS, parseMaxStartups, StartupGate } from "../../sshnpd/startup-gate.ts";

test("below MaxStartups all are let in at once, beyond it they wait for their turn, first come first served", () => {
  const gate = new StartupGate<number>({ start: 6 }, 1000);
  for (let visit = 1; visit <= 7; visit++) gate.ask(visit, "@client");
  expect([gate.admitted(0), gate.admitted(0), gate.next]).toEqual([[1, 2, 3], [], 1000]);
  gate.leave(2); // has logged in, or is gone
  expect([gate.admitted(10), gate.admitted(10)]).toEqual([[4], []]);
  gate.leave(6); // does not wait any more
  expect([gate.admitted(999), gate.admitted(1000), gate.next]).toEqual([[], [5, 7], undefined]);
});

test("never more log in at once than it has room for, and nobody waits for ever", () => {
  const gate = new StartupGate<number>(DEFAULT_MAX_STARTUPS, 2000);
  for (let visit = 0; visit < 500; visit++) gate.ask(visit, "@client");
  const ends: number[] = [];
  let now = 0;
  for (;;) {
    const admitted = gate.admitted(now);
    ends.push(...admitted.map(() => now + 2000));
    expect(ends.filter((end) => end > now).length).toBeLessThan(DEFAULT_MAX_STARTUPS.start);
    if (gate.next === undefined) break;
    now = gate.next;
  }
  expect([ends.length, now]).toEqual([500, 2000 * 71]);
});

test("a client that asks without end waits for its own, and another one is next", () => {
  const gate = new StartupGate<string>({ start: 6 }, 1000);
  for (let i = 0; i < 500; i++) gate.ask(`eve ${i}`, "@eve");
  expect(gate.admitted(0)).toEqual(["eve 0", "eve 1", "eve 2"]);
  gate.ask("bob", "@bob");
  gate.ask("carol", "@carol");
  gate.leave("eve 0");
  expect([gate.admitted(1), gate.admitted(1000)]).toEqual([["bob"], ["eve 3", "carol"]]);
});

test("a server that takes one at a time gets one at a time", () => {
  const gate = new StartupGate<string>({ start: 1 }, 1000);
  gate.ask("a", "@client");
  gate.ask("b", "@client");
  expect([gate.admitted(0), gate.admitted(999), gate.admitted(1000)]).toEqual([["a"], [], ["b"]]);
});

test.each([
  ["10:30:100", { start: 10, rate: 30, full: 100 }],
  ["7", { start: 7, rate: 100, full: 7 }],
  ["0", undefined],
  ["10:30", undefined],
  ["10:101:100", undefined],
  ["none", undefined],
  ["", undefined],
  ["99999999:1:1", undefined],
])("MaxStartups %s", (text, parsed) => expect(parseMaxStartups(text)).toEqual(parsed));
