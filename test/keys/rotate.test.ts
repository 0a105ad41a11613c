import { copyFileSync, existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Activations, told } from "./activation.ts";
import { keys, keysOk, logOf, newOwned, statesOf } from "./owner-commands.ts";

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

test("a name goes on under a new owner key", async () => {
  const { machine, name, member } = await newOwned(system, "gw");
  const exit = await keys(machine, ["rotate", name]);
  console.log(exit.stderr, readdirSync(machine.keys));
  expect(exit.code).toBe(0);
  console.log(
    await keysOk(machine, ["log", name]),
    await keysOk(machine, ["list", name, "--json"]),
    await keys(machine, ["show", name]),
  );
});
