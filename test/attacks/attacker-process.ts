/**
 * The program of {@link Attackers}: a line of JSON on stdin for each thing to do, and for each attack a line
 * `NUMBER {outcome}` on stdout when it has ended.
 */
import { setMaxListeners } from "node:events";
import { setPriority } from "node:os";
import { createInterface } from "node:readline";
import { ATTACKS } from "./list.ts";
import type { Site } from "./site.ts";

export type AttackerCommand =
  | { readonly do: "attack"; readonly name: string; readonly site: Site }
  | { readonly do: "end" };
export type AttackerOutcome = { readonly done: string } | { readonly failure: string };

/** Attackers have machines of their own; here they may have what those whom they attack leave of this one. */
const NICENESS = 5;

setPriority(NICENESS);
let over = new AbortController();
let attacks = 0;

process.stdout.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line) as AttackerCommand;
  if (command.do === "end") over.abort();
  else void attack(command.name, command.site);
}

async function attack(name: string, site: Site): Promise<void> {
  const number = ++attacks;
  over = new AbortController();
  setMaxListeners(0, over.signal); // each of many requests listens
  let outcome: AttackerOutcome;
  try {
    const found = ATTACKS.find((one) => one.name === name);
    if (found?.from !== "elsewhere") throw new Error(`no attack ${name} is made from here`);
    outcome = { done: await found.run(site, over.signal) };
  } catch (error) {
    outcome = { failure: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.stdout.write(`${number} ${JSON.stringify(outcome)}\n`);
}
