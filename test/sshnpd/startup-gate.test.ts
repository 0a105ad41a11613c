import { expect, test } from "vitest";
import { SSH_NEW_CONNECTIONS } from "../../protocol/limits.ts";
import { parseLoginGraceTime } from "../../sshnpd/login-limits.ts";
import { DEFAULT_MAX_STARTUPS, parseMaxStartups, StartupGate } from "../../sshnpd/startup-gate.ts";

test("below MaxStartups all are let in at once, beyond it they wait for their turn, first come first served", () => {
  const gate = new StartupGate<number>({ start: 6, full: 100 }, 1000);
  for (let visit = 1; visit <= 7; visit++) gate.ask(visit, `@client${visit}`);
  expect([gate.admitted(0), gate.admitted(0), gate.next]).toEqual([[1, 2, 3], [], 1000]);
  gate.settle(2);
  expect([gate.admitted(10), gate.admitted(10)]).toEqual([[4], []]);
  gate.leave(6); // does not wait any more
  expect([gate.admitted(999), gate.admitted(1000), gate.next]).toEqual([[], [5, 7], undefined]);
});

test("never more log in at once than it has room for, and nobody waits for ever", () => {
  const gate = new StartupGate<number>(DEFAULT_MAX_STARTUPS, 2000);
  for (let visit = 0; visit < 500; visit++) gate.ask(visit, `@client${visit % 50}`);
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

test("clients that say nothing, as often as they like, shut nobody out for as long as sshd counts them", () => {
  const graceMs = 120_000;
  const gate = new StartupGate<string>(DEFAULT_MAX_STARTUPS, graceMs);
  for (let i = 0; i < 64; i++) gate.ask(`eve ${i}`, "@eve");
  const counted = new Map<string, number>(); // by sshd, and until when
  let refused = 0;
  for (let now = 0; now < 600_000; now += 1000) {
    if (now === 150_000) for (let i = 0; i < 64; i++) gate.ask(`mallory ${i}`, "@mallory");
    for (const visit of gate.admitted(now)) counted.set(visit, now + graceMs);
    for (const [visit, until] of counted) if (until <= now) counted.delete(visit);
    expect(counted.size).toBeLessThan(DEFAULT_MAX_STARTUPS.start);
    gate.ask("bob", "@bob");
    if (!gate.admitted(now).includes("bob")) refused += 1;
    gate.leave("bob"); // has logged in and is gone
  }
  expect([counted.size, refused]).toEqual([5, 0]);
});

test("one who makes sshd talk and does not log in holds so many connections and no more", () => {
  const gate = new StartupGate<number>(DEFAULT_MAX_STARTUPS, 1000);
  const held: number[] = [];
  for (let visit = 0; visit < 64; visit++) gate.ask(visit, "@eve");
  for (;;) {
    const admitted = gate.admitted(0);
    if (admitted.length === 0) break;
    for (const visit of admitted) gate.settle(visit);
    held.push(...admitted);
  }
  expect(held).toHaveLength(SSH_NEW_CONNECTIONS);
  gate.ask(100, "@bob");
  expect(gate.admitted(1)).toEqual([100]);
  gate.leave(0);
  expect(gate.admitted(2)).toEqual([SSH_NEW_CONNECTIONS]);
});

test("of several that wait the client is next of whom fewest log in", () => {
  const gate = new StartupGate<string>({ start: 7, full: 100 }, 1000);
  for (let i = 0; i < 500; i++) gate.ask(`eve ${i}`, "@eve");
  expect(gate.admitted(0)).toEqual(["eve 0", "eve 1"]);
  gate.ask("bob", "@bob");
  gate.ask("carol", "@carol");
  gate.ask("dave", "@dave");
  expect(gate.admitted(1)).toEqual(["bob", "carol"]);
  gate.settle("eve 0");
  expect([gate.admitted(2), gate.admitted(1000)]).toEqual([["dave"], ["eve 2"]]);
});

test("a server that takes one at a time gets one at a time", () => {
  const gate = new StartupGate<string>({ start: 1, full: 100 }, 1000);
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

test.each([
  ["120", 125_000],
  ["0", 3_600_000], // no limit
  ["999999999", 3_600_000],
  ["-1", undefined],
  ["2m", undefined],
  ["", undefined],
])("LoginGraceTime %s", (text, parsed) => expect(parseLoginGraceTime(text)).toBe(parsed));

test("of a server that takes few, half is left to others, whatever one client's connections look like", () => {
  const gate = new StartupGate<number>({ start: 10, full: 10 }, 1000);
  for (let visit = 0; visit < 10; visit++) gate.ask(visit, "@evil");
  for (let now = 0; now < 10; now++) for (const visit of gate.admitted(now)) gate.settle(visit);
  expect(gate.admitted(10)).toEqual([]);
  gate.ask(100, "@good");
  expect(gate.admitted(11)).toEqual([100]);
  for (let visit = 0; visit < 5; visit++) gate.leave(visit);
  expect(gate.admitted(12)[0]).toBe(5);
});
