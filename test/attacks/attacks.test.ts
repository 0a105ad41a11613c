/**
 * Every attack for a few seconds, all on one system. `npm run attack` runs this file too, for each attack by itself:
 * then SSHNP_ATTACK says how, see scripts/attack.mjs.
 */
import { writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { measure, shortcomings, summary } from "./measure.ts";
import { ATTACKS } from "./list.ts";
import { Target } from "./target.ts";

interface Order {
  readonly only: string;
  readonly seconds: number;
  /** Whether the times of connects are judged. */
  readonly withTimes: boolean;
  /** Where the outcome is written, as JSON. */
  readonly outcome: string;
}

const order =
  process.env["SSHNP_ATTACK"] === undefined ? undefined : (JSON.parse(process.env["SSHNP_ATTACK"]) as Order);
const SECONDS = order?.seconds ?? 3;
const attacks = order === undefined ? ATTACKS : ATTACKS.filter(({ name }) => name === order.only);

let target: Target;
beforeAll(async () => {
  target = await Target.start();
});
afterAll(() => target?.[Symbol.asyncDispose]());

for (const attack of attacks) {
  const withstood = async (): Promise<void> => {
    const signal = AbortSignal.timeout((SECONDS + 180) * 1000);
    const outcome = await measure(attack, target, { seconds: SECONDS, signal });
    // A time is asserted only where no other tests run.
    const found = shortcomings(outcome, { withTimes: order?.withTimes === true });
    process.stderr.write(`${summary(outcome)}\n`);
    if (order !== undefined) writeFileSync(order.outcome, JSON.stringify({ line: summary(outcome), found }));
    expect(found).toEqual([]);
  };
  test(`${attack.name}: nobody else notices`, withstood, (SECONDS + 200) * 1000);
}
