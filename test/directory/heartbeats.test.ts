import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type Beating, Heartbeats } from "../../directory/heartbeats.ts";
import { LINK_PING_MS, LINK_SILENCE_MS, METERED_PING_MS, METERED_SILENCE_MS } from "../../protocol/limits.ts";

class Link implements Beating {
  isUp = true;
  answers = true;
  readonly pings: number[] = [];
  ended: number | undefined;
  readonly now: () => number;

  constructor(now: () => number) {
    this.now = now;
  }

  ping(): void {
    this.pings.push(this.now());
  }

  endIfSilent(): void {
    if (!this.answers && this.pings.length > 0) this.ended ??= this.now();
  }
}

test.each([
  ["by default", { pingMs: LINK_PING_MS, silenceMs: LINK_SILENCE_MS }],
  ["on a metered line", { pingMs: METERED_PING_MS, silenceMs: METERED_SILENCE_MS }],
])("%s every link is pinged once in each round, whenever it came, and looked at in time", (_how, rhythm) => {
  const round = rhythm.pingMs / 1000;
  const patience = (rhythm.silenceMs - rhythm.pingMs) / 1000;
  fc.assert(
    fc.property(fc.array(fc.record({ at: fc.nat(100), answers: fc.boolean() }), { maxLength: 30 }), (arrivals) => {
      let second = 0;
      const beats = new Heartbeats<Link>(rhythm);
      const links = arrivals.map(({ answers }) => Object.assign(new Link(() => second), { answers }));
      for (second = 0; second < 100 + 3 * round; second++) {
        for (const [i, { at }] of arrivals.entries()) if (at === second) beats.add(links[i] as Link);
        beats.tick();
      }
      for (const [i, { pings, ended, answers }] of links.entries()) {
        const first = pings[0] ?? Number.NaN;
        expect(first).toBeGreaterThanOrEqual(arrivals[i]?.at ?? 0);
        expect(first).toBeLessThan((arrivals[i]?.at ?? 0) + round);
        expect(pings).toEqual(pings.map((_, n) => first + n * round));
        expect(ended).toBe(answers ? undefined : first + patience);
      }
      expect([...beats]).toHaveLength(links.length);
      for (const link of links) beats.remove(link);
      expect([...beats]).toEqual([]);
    }),
    { numRuns: 30 },
  );
});
