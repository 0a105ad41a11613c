import { copyFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type AnswerFate, type AnswerRelay, startAnswerRelay } from "../support/answer-relay.ts";
import { preloading, signalAt } from "../support/preload.ts";
import type { Exit } from "../support/processes.ts";
import { activateHere, Activations, type Machine, told } from "./activation.ts";
import { guardOwner } from "./guard.ts";

// An activation opens a connection for each request: the key list, the challenge, the proofs.
const KEY_LIST = 1;
const CHALLENGE = 2;
const PROOFS = 3;

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

describe("a name that is activated on this machine", () => {
  let machine: Machine;
  let name: string;
  let secret: string;
  let before: readonly string[];
  beforeAll(async () => {
    ({ name, secret } = await system.newName());
    machine = system.newMachine();
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
    before = machine.snapshot();
  });

  test.each([
    ["the same secret", () => ["-c", secret, "-d", "gw"]],
    ["the same secret and no -d", () => ["-c", secret]],
    ["an empty secret", () => ["-c", "", "-d", "gw"]],
    ["an empty secret and no -d", () => ["-c", ""]],
    ["no secret", () => []],
  ])("is found so with %s, without a word to the directory", async (_, words) => {
    const exit = await machine.activate(["-a", name, ...words()], { directory: null });
    expect(exit).toMatchObject({
      code: 0,
      stdout: "",
      stderr: `${name} is activated on this machine already: device gw.\n`,
    });
    expect(machine.snapshot()).toEqual(before);
  });

  test("is so without its owner's file, which is moved away as told", async () => {
    const owner = join(machine.keys, `${name}.owner.npkeys`);
    renameSync(owner, join(machine.home, "safe"));
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
    expect((await machine.activate(["-a", name, "-c", ""])).code).toBe(0);
    renameSync(join(machine.home, "safe"), owner);
  });

  test.each([
    ["with the same secret", () => ["-c", secret]],
    ["with an empty secret", () => ["-c", ""]],
    ["without a secret", () => []],
  ])("is not activated as another device %s, which its daemon makes", async (_, words) => {
    const exit = await machine.activate(["-a", name, "-d", "other", ...words()]);
    expect(told(exit)).toMatchObject({
      code: "E_KEY_EXISTS",
      next: expect.stringContaining(`sshnpd -a ${name} -m @client -d other`),
    });
    expect(exit.code).toBe(78);
    expect(machine.snapshot()).toEqual(before);
  });

  test("leaves another device that its daemon has begun to make to the daemon", async () => {
    const begun = join(machine.keys, `${name}.begun.npkeys`);
    copyFileSync(join(machine.keys, `${name}.gw.npkeys`), begun);
    expect((await machine.activate(["-a", name, "-c", "", "-d", "begun"])).code).toBe(0);
    rmSync(begun);
    expect(machine.snapshot()).toEqual(before);
  });

  test("is never given another secret", async () => {
    await expect(system.addName(name)).rejects.toMatchObject({ code: "E_NAME_TAKEN" });
  });

  test("is not taken for the same name at another directory", async () => {
    await using other = await Activations.start();
    const exit = await machine.activate(["-a", name, "-c", await other.addName(name)], { directory: other.address });
    expect(told(exit)).toMatchObject({ code: "E_KEY_EXISTS", fact: expect.stringContaining(system.address) });
    expect(exit.code).toBe(78);
    expect(machine.snapshot()).toEqual(before);
  });

  test("is known to the directory after its kill -9", async () => {
    await system.restart();
    expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
  });
});

test("an empty secret is not enough before the first activation", async () => {
  const machine = system.newMachine();
  const exit = await machine.activate(["-a", "@acme", "-c", "", "-d", "gw"]);
  expect(told(exit).code).toBe("E_NOT_ACTIVATED");
  expect(exit.code).toBe(78);
  expect(machine.snapshot()).toHaveLength(1);
});

describe("when the answer to the proofs is lost", () => {
  test("the same secret succeeds later with the same keys, and an empty one does not before", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const lost = await withLostAnswer(machine, ["-a", name, "-c", secret, "-d", "gw"]);
    expect(told(lost)).toMatchObject({ code: "E_DIRECTORY" });
    expect(lost.code).toBe(69);
    expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
    const keys = keyFilesOf(machine);

    const check = await machine.activate(["-a", name, "-c", "", "-d", "gw"]);
    expect(told(check).code).toBe("E_NOT_ACTIVATED");
    expect(check.code).toBe(78);
    const again = await machine.activate(["-a", name, "-c", secret, "-d", "gw"]);
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining(`${name} is activated.`) });
    expect(keyFilesOf(machine)).toEqual(keys);
    expect((await machine.activate(["-a", name, "-c", ""])).code).toBe(0);
  });

  test("the directory is remembered, so that the secret alone is enough", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using relay = await startAnswerRelay(system.port, (connection) => (connection === PROOFS ? "lose" : "pass"));
    const directory = system.addressAt(relay.port);
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"], { directory })).code).toBe(69);
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"], { directory: null })).code).toBe(0);
    expect(relay.answers).toBe(6);
  });

  test("a client that is called otherwise by now is still the same client", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await withLostAnswer(machine, ["-a", name, "-c", secret], calledOnce("container-1"));
    const exit = await machine.activate(["-a", name, "-c", secret], { env: calledOnce("container-2") });
    expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining("client container-1-client of") });
    expect(await system.members(name)).toEqual([{ member: "container-1-client", role: "client" }]);
  });

  test("a guarded owner key is opened with the same words, and only with the right ones", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const [right, wrong] = ["right", "wrong"].map((text) => join(machine.home, text)) as [string, string];
    for (const path of [right, wrong]) writeFileSync(path, path);
    const words = ["-a", name, "-c", secret, "-d", "gw", "--passphrase-file"];
    expect((await withLostAnswer(machine, words.slice(0, -1))).code).toBe(69);
    await guardOwner({ machine, name }, right);
    const before = machine.snapshot();
    const refused = await machine.activate([...words, wrong]);
    expect(told(refused).code).toBe("E_PASSPHRASE");
    expect(refused.code).toBe(77);
    const unasked = await machine.activate(words.slice(0, -1));
    expect(told(unasked)).toMatchObject({
      code: "E_PASSPHRASE",
      next: expect.stringContaining("SSHNP_PASSPHRASE_FILE="),
    });
    expect(machine.snapshot()).toEqual(before);
    expect((await machine.activate([...words, right])).code).toBe(0);
  });

  test.each([
    ["another device", ["-d", "other"], "with -d gw"],
    ["a client", [], "with -d gw"],
  ])("%s does not take its place", async (_, words, hint) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await withLostAnswer(machine, ["-a", name, "-c", secret, "-d", "gw"]);
    const before = machine.snapshot();
    const exit = await machine.activate(["-a", name, "-c", secret, ...words]);
    expect(told(exit)).toMatchObject({ code: "E_KEY_EXISTS", next: expect.stringContaining(hint) });
    expect(exit.code).toBe(78);
    expect(machine.snapshot()).toEqual(before);
  });

  test("a wrong secret or another directory leaves the keys for the right one", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await withLostAnswer(machine, ["-a", name, "-c", secret, "-d", "gw"]);
    const before = machine.snapshot();
    const wrong = await machine.activate(["-a", name, "-c", "0".repeat(64), "-d", "gw"]);
    expect(told(wrong).code).toBe("E_CRAM_WRONG");
    await using other = await Activations.start();
    const elsewhere = await machine.activate(["-a", name, "-c", secret, "-d", "gw"], { directory: other.address });
    expect(told(elsewhere).code).toBe("E_KEY_EXISTS");
    expect(machine.snapshot()).toEqual(before);
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
  });
});

describe("two runs at once in one folder", () => {
  test("the later one goes on with the keys of the first, and both succeed", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const words = ["-a", name, "-c", secret, "-d", "gw"];
    const held = await holding(PROOFS);
    await using relay = held.relay;
    const first = machine.start(words, { directory: system.addressAt(relay.port) });
    await relay.answered(PROOFS);
    expect((await machine.activate(words)).code).toBe(0);
    const keys = keyFilesOf(machine);
    held.decide("pass");
    expect((await first.exit()).code).toBe(0);
    expect(keyFilesOf(machine)).toEqual(keys);
  });

  test("a wrong secret takes no keys away with which the right one has succeeded meanwhile", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const held = await holding(PROOFS);
    await using relay = held.relay;
    const wrong = machine.start(["-a", name, "-c", "0".repeat(64), "-d", "gw"], {
      directory: system.addressAt(relay.port),
    });
    await relay.answered(PROOFS);
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
    const keys = keyFilesOf(machine);
    held.decide("pass");
    expect(told(await wrong.exit()).code).toBe("E_CRAM_WRONG");
    expect(keyFilesOf(machine)).toEqual(keys);
    expect((await machine.activate(["-a", name, "-c", ""])).code).toBe(0);
  });

  test("a wrong secret that is refused while the right one is under way costs no key either", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const [heldWrong, heldRight] = [await holding(PROOFS), await holding(PROOFS)];
    await using wrongRelay = heldWrong.relay;
    await using rightRelay = heldRight.relay;
    const wrong = machine.start(["-a", name, "-c", "0".repeat(64), "-d", "gw"], {
      directory: system.addressAt(wrongRelay.port),
    });
    await wrongRelay.answered(PROOFS);
    const right = machine.start(["-a", name, "-c", secret, "-d", "gw"], {
      directory: system.addressAt(rightRelay.port),
    });
    await rightRelay.answered(PROOFS);
    const keys = keyFilesOf(machine);
    heldWrong.decide("pass");
    expect(told(await wrong.exit()).code).toBe("E_CRAM_WRONG");
    expect(keyFilesOf(machine)).toEqual([]);
    heldRight.decide("pass");
    expect((await right.exit()).code).toBe(0);
    expect(keyFilesOf(machine)).toEqual(keys);
    expect((await machine.activate(["-a", name, "-c", ""])).code).toBe(0);
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
  });
});

describe("Ctrl-C", () => {
  test.each([
    ["the key list", KEY_LIST],
    ["the challenge", CHALLENGE],
    ["the answer to the proofs", PROOFS],
  ])("while %s is awaited exits 130, and the same command goes on later", async (_, connection) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const words = ["-a", name, "-c", secret, "-d", "gw"];
    const held = await holding(connection);
    await using relay = held.relay;
    const running = machine.start(words, { directory: system.addressAt(relay.port) });
    await relay.answered(connection);
    const exit = await running.kill("SIGINT");
    expect(told(exit).code).toBe("E_INTERRUPTED");
    expect(exit.code).toBe(130);
    expect(machine.snapshot().length === 1).toBe(connection < PROOFS);
    expect((await machine.activate(words)).code).toBe(0);
    expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
  });

  test.each([["SIGINT" as const], ["SIGTERM" as const]])(
    "or rather %s while the secret is awaited exits 130",
    async (signal) => {
      const machine = system.newMachine();
      const running = machine.start(["-a", "@acme", "-c", "-"], { input: null, env: sayWhenReading() });
      await running.errorLine(/^reading$/);
      const exit = await running.kill(signal);
      expect(exit.code).toBe(130);
      expect(exit.stderr).toContain("[E_INTERRUPTED]");
      expect(machine.snapshot()).toHaveLength(1);
    },
  );
});

describe("cut off ahead of any change to the disk", () => {
  const WORDS = ["-d", "gw"];

  test("by kill -9, an activation goes on with the same words", async () => {
    const count = await changesOf();
    expect(count).toBeGreaterThan(10);
    await forEach(count, async (change) => {
      const { name, secret } = await system.newName();
      const machine = system.newMachine();
      const cut = await machine.activate(["-a", name, "-c", secret, ...WORDS], { env: signalAt(change, "SIGKILL") });
      expect([change, cut.signal]).toEqual([change, "SIGKILL"]);
      const result = await activateHere(system, machine, { name, secret, device: "gw" });
      expect([change, result.kind]).toEqual([change, "activated"]);
      expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
      expect(await activateHere(system, machine, { name, device: "gw" })).toMatchObject({ kind: "already" });
    });
  });

  test("by Ctrl-C, an activation ends with 130 or is done, and goes on with the same words", async () => {
    const count = await changesOf();
    await forEach(count, async (change) => {
      const { name, secret } = await system.newName();
      const machine = system.newMachine();
      const cut = await machine.activate(["-a", name, "-c", secret, ...WORDS], { env: signalAt(change, "SIGINT") });
      const isDone = (await system.members(name)).length > 0;
      expect([change, cut.code]).toEqual([change, isDone ? 0 : 130]);
      if (!isDone) expect([change, machine.snapshot()]).toEqual([change, [expect.any(String)]]);
      await activateHere(system, machine, { name, secret, device: "gw" });
      expect(await activateHere(system, machine, { name, device: "gw" })).toMatchObject({ kind: "already" });
    });
  });

  test("by kill -9, an activation with a wrong secret goes on with the right one", async () => {
    const count = await changesOf("0".repeat(64));
    await forEach(count, async (change) => {
      const { name, secret } = await system.newName();
      const machine = system.newMachine();
      const words = ["-a", name, "-c", "0".repeat(64), ...WORDS];
      expect((await machine.activate(words, { env: signalAt(change, "SIGKILL") })).signal).toBe("SIGKILL");
      const result = await activateHere(system, machine, { name, secret, device: "gw" });
      expect([change, result.kind]).toEqual([change, "activated"]);
    });
  });

  /** From 1 to `count`, some at a time. */
  async function forEach(count: number, action: (change: number) => Promise<void>): Promise<void> {
    let next = 1;
    const worker = async (): Promise<void> => {
      while (next <= count) await action(next++);
    };
    await Promise.all([worker(), worker(), worker()]);
  }

  /** How many changes an activation makes, with the right secret if none is given. */
  async function changesOf(given?: string): Promise<number> {
    const { name, secret } = await system.newName();
    const words = ["-a", name, "-c", given ?? secret, ...WORDS];
    const exit = await system.newMachine().activate(words, { env: signalAt(0, "SIGKILL") });
    return Number(/^changes: (\d+)$/m.exec(exit.stderr)?.[1]);
  }
});

/** A process that takes its host to be called so. */
function calledOnce(host: string): Record<string, string> {
  return preloading(`import os from "node:os";
    import { syncBuiltinESMExports } from "node:module";
    os.hostname = () => ${JSON.stringify(host)};
    syncBuiltinESMExports();`);
}

/** A process that tells on stderr when it turns to stdin. */
function sayWhenReading(): Record<string, string> {
  return preloading(`const { get } = Object.getOwnPropertyDescriptor(process, "stdin");
    Object.defineProperty(process, "stdin", {
      get() { process.stderr.write("reading\\n"); return get.call(process); },
    });`);
}

/** Runs it with the directory behind a relay that loses its answer to the proofs. */
async function withLostAnswer(
  machine: Machine,
  words: readonly string[],
  env: Record<string, string> = {},
): Promise<Exit> {
  await using relay = await startAnswerRelay(system.port, (connection) => (connection === PROOFS ? "lose" : "pass"));
  const exit = await machine.activate(words, { directory: system.addressAt(relay.port), env });
  expect(relay.answers).toBe(PROOFS);
  return exit;
}

/** A relay that holds one answer back until its fate is decided. */
async function holding(
  connection: number,
): Promise<{ readonly relay: AnswerRelay; readonly decide: (fate: AnswerFate) => void }> {
  let decide: (fate: AnswerFate) => void = () => {};
  const decided = new Promise<AnswerFate>((resolve) => {
    decide = resolve;
  });
  const relay = await startAnswerRelay(system.port, (number) => (number === connection ? decided : "pass"));
  return { relay, decide };
}

/** The key files with their modes and contents. */
function keyFilesOf(machine: Machine): string[] {
  return machine.snapshot().filter((line) => line.includes(".npkeys "));
}
