import { expect, test } from "vitest";
import { startBuilt } from "../support/built-module.ts";
import { temporaryFolder } from "../support/temp-folder.ts";

/** Fills the heap until V8 wants to collect it, while its threads compile functions that have just become warm, and exits. */
const PROGRAM = `
  import { setFlagsFromString } from "node:v8";
  (await load("keys/exit.js")).endEvenWhileCompiling();
  (await load("keys/small-heap.js")).keepHeapSmall();
  (await load("keys/small-heap.js")).collectWholeHeapAtOnce();
  const lines = (n) => Array.from({ length: 15 }, (_, k) => "a = (a * " + (k + n) + " + " + k + ") | 0; if (a === " + n + ") a++;");
  const functions = Array.from({ length: 300 }, (_, n) => new Function("a", lines(n).join(" ") + "return a;"));
  const held = [];
  const hold = (count) => { for (let i = 0; i < count; i++) held.push(new Uint8Array(65536)); };
  for (let round = 0; round < 20; round++) { held.length = 0; hold(300); }
  hold(1500);
  let sum = 0;
  for (let turn = 0; turn <= Number(argument); turn++) for (const each of functions) sum += each(turn);
  process.exit(7);
`;
/** About when the functions become warm; where exactly depends on the machine. */
const TURNS = Array.from({ length: 16 }, (_, i) => 10 + i);

test("a process ends when it exits, whatever V8 is compiling then", { timeout: 180_000 }, async () => {
  await using folder = await temporaryFolder();
  const isConcerned = Number.parseInt(process.versions.node, 10) >= 24;
  for (const turns of isConcerned ? [...TURNS, ...TURNS, ...TURNS] : TURNS.slice(0, 2)) {
    await using child = startBuilt(folder, PROGRAM, String(turns));
    expect(await child.exit({ timeoutMs: 30_000 })).toMatchObject({ code: 7, stderr: "" });
  }
});
