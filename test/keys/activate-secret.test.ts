import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { activationKey } from "../../keys/activation-key.ts";
import { parseName } from "../../keys/names.ts";
import { parseCramSecret } from "../../keys/secret.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { type AnswerFate, startAnswerRelay } from "../support/answer-relay.ts";
import { preloading } from "../support/preload.ts";
import { runCommand } from "../support/processes.ts";
import { startTcpTap } from "../support/tcp-tap.ts";
import { activateHere, type Activating, Activations, type Machine, told } from "./activation.ts";

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

describe("the one-time secret", () => {
  test.each<[string, (machine: Machine, secret: string) => [string[], Activating]]>([
    ["argv", (_, secret) => [["-c", secret], {}]],
    ["stdin", (_, secret) => [["-c", "-"], { input: `${secret}\n` }]],
    ["a file", ({ home }, secret) => [["--cram-file", written(join(home, "given"), secret)], {}]],
    ["the environment", (_, secret) => [[], { env: { SSHNP_CRAM: secret } }]],
  ])("given by %s stays there: no file, log, message or packet has it", async (_, way) => {
    await using own = await Activations.start();
    await using tap = await startTcpTap(() => own.port);
    const machine = own.newMachine();
    const added = await runCommand("sshnp-directory", ["name", "add", "@acme", "--data", own.data], {
      env: { HOME: machine.home },
    });
    const secret = added.stdout.trim();
    const [words, activating] = way(machine, secret);
    const directory = own.addressAt(tap.port);
    const run = (...more: string[]) =>
      machine.activate(["-a", "@acme", ...words, ...more], { ...activating, directory });
    const exits = [await run("-d", "ls"), await run("-d", "gw"), await run("-d", "gw")];
    expect(exits.map(({ code }) => code)).toEqual([2, 0, 0]);

    const haystacks = new Map<string, Uint8Array>([
      ...filesIn(own.data),
      ...filesIn(machine.keys),
      ["messages", Buffer.from(exits.map(({ stderr }) => stderr).join(""))],
      ["log of the directory", Buffer.from(own.directory.stdout + own.directory.stderr)],
      ["network", tap.recorded],
    ]);
    expect(haystacks.get("network")?.length).toBeGreaterThan(2000);
    expect(haystacks.size).toBeGreaterThan(8);
    expect(Buffer.from(haystacks.get("log of the directory") ?? []).includes("@acme/gw")).toBe(true);
    const key = activationKey(nativeSuite, parseCramSecret(secret), parseName("@acme"));
    for (const needle of [Buffer.from(secret, "hex"), key.secretBytes()])
      expect(whereIs(needle, haystacks)).toEqual([]);
  });

  test.each<[string, (machine: Machine, secret: string) => [string[], Activating]]>([
    ["stdin", (_, secret) => [["-c", "-"], { input: `${secret}\n` }]],
    ["a file", ({ home }, secret) => [["--cram-file", written(join(home, "given"), secret)], {}]],
  ])("given by %s is not to be seen in the list of processes, and no other process is started", async (_, way) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    let decide: (fate: AnswerFate) => void = () => {};
    const decided = new Promise<AnswerFate>((resolve) => {
      decide = resolve;
    });
    await using relay = await startAnswerRelay(system.port, (connection) => (connection === 3 ? decided : "pass"));
    const [words, activating] = way(machine, secret);
    const running = machine.start(["-a", name, ...words], {
      ...activating,
      env: noChildren(),
      directory: system.addressAt(relay.port),
    });
    await relay.answered(3);
    for (const file of ["cmdline", "environ"]) {
      const shown = readFileSync(`/proc/${running.pid}/${file}`, "utf8");
      expect(shown.length).toBeGreaterThan(20);
      expect(shown).not.toContain(secret);
    }
    decide("pass");
    expect((await running.exit()).code).toBe(0);
  });

  test("is in no message of a failure, SSHNP_DEBUG or not", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    for (const directory of [system.addressAt(1), `${system.address}x`, system.address.replace(/.$/, "!")]) {
      const exit = await machine.activate(["-a", name, "-c", secret], { directory, env: { SSHNP_DEBUG: "1" } });
      expect(exit.code).not.toBe(0);
      expect(exit.stderr).not.toContain(secret.slice(0, 16));
    }
  });
});

test("the private keys that activation makes stay in their files", async () => {
  await using own = await Activations.start();
  await using tap = await startTcpTap(() => own.port);
  const machine = own.newMachine();
  const words = ["-a", "@acme", "-c", await own.addName("@acme"), "-d", "gw"];
  const exit = await machine.activate(words, { directory: own.addressAt(tap.port) });
  expect(exit.code).toBe(0);
  const elsewhere = new Map<string, Uint8Array>([
    ...filesIn(own.data),
    ...filesIn(join(machine.keys, "state")),
    ["messages", Buffer.from(exit.stderr)],
    ["log of the directory", Buffer.from(own.directory.stdout + own.directory.stderr)],
    ["network", tap.recorded],
  ]);
  const [owner, member] = [machine.keyFile("@acme", "owner"), machine.keyFile("@acme", "gw")] as unknown as Record<
    string,
    string
  >[];
  const privateKeys = [owner?.["ed25519"], member?.["ed25519"], member?.["x25519"]];
  for (const key of privateKeys) {
    const bytes = Buffer.from(key ?? "", "base64");
    expect(bytes).toHaveLength(32);
    expect(whereIs(bytes, elsewhere)).toEqual([]);
  }
  expect(new Set(privateKeys).size).toBe(3);
});

test("of 100 machines with one secret one wins, the others are told and have nothing, and it stays so", async () => {
  const { name, secret } = await system.newName();
  const machines = Array.from({ length: 100 }, () => system.newMachine());
  const asProcess = machines.slice(0, 8);
  const inThisProcess = machines.slice(8);
  const codes = await Promise.all([
    ...asProcess.map(async (machine) => {
      const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw"]);
      return exit.code === 0 ? "won" : told(exit).code;
    }),
    ...inThisProcess.map((machine) => codeOf(activateHere(system, machine, { name, secret, device: "gw" }))),
  ]);
  const won = machines.filter((_, i) => codes[i] === "won");
  expect(won).toHaveLength(1);
  expect(new Set(codes)).toEqual(new Set(["won", "E_CRAM_USED"]));
  const withKeys = machines.filter((machine) => machine.snapshot().length > 1);
  expect(withKeys).toEqual(won);

  const [winner] = won;
  if (winner === undefined) throw new Error("nobody won");
  const before = winner.snapshot();
  expect((await winner.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
  expect(winner.snapshot()).toEqual(before);
  const [loser] = machines.filter((machine) => machine !== winner);
  if (loser === undefined) throw new Error("nobody lost");
  expect(told(await loser.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe("E_CRAM_USED");
  expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
});

test("of 12 runs at once on one machine none fails for good, and one set of keys is left", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const runs = Array.from({ length: 12 }, () => codeOf(activateHere(system, machine, { name, secret, device: "gw" })));
  const codes = await Promise.all(runs);
  expect(codes).toContain("won");
  for (const code of codes) expect(["won", "E_BUSY"]).toContain(code);
  expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
  expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
  expect(readdirSync(machine.keys)).toEqual([`${name}.gw.npkeys`, `${name}.owner.npkeys`, "state"]);
});

async function codeOf(activation: ReturnType<typeof activateHere>): Promise<string> {
  return await activation.then(
    () => "won",
    (error: unknown) => (error as { code?: string }).code ?? String(error),
  );
}

/** A process in which any attempt to start another one fails. */
function noChildren(): Record<string, string> {
  return preloading(`import children from "node:child_process";
    import { syncBuiltinESMExports } from "node:module";
    for (const name of ["spawn", "spawnSync", "exec", "execSync", "execFile", "execFileSync", "fork"]) {
      children[name] = () => { throw new Error("a process was started"); };
    }
    syncBuiltinESMExports();`);
}

function written(path: string, text: string): string {
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

function filesIn(folder: string): [string, Uint8Array][] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path) => [path, readFileSync(path)]);
}

/** In which of them the bytes stand, raw, as hex or as base64. */
function whereIs(bytes: Uint8Array, haystacks: ReadonlyMap<string, Uint8Array>): string[] {
  const raw = Buffer.from(bytes);
  const needles = [
    raw,
    raw.toString("hex"),
    raw.toString("hex").toUpperCase(),
    raw.toString("base64").slice(0, 42),
    raw.toString("base64url").slice(0, 42),
  ];
  return [...haystacks]
    .filter(([, hay]) => needles.some((needle) => Buffer.from(hay).includes(needle)))
    .map(([place]) => place);
}
