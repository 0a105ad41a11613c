import { unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { commandFile, type Exit, runCommand } from "../support/processes.ts";
import { Terminals } from "../support/terminals.ts";
import { activateHere, Activations, type Machine } from "./activation.ts";

let system: Activations;
let machine: Machine;
let name: string;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());
beforeEach(async () => {
  machine = system.newMachine();
  const added = await system.newName();
  name = added.name;
  await activateHere(system, machine, { ...added, device: "gw1" });
});

const SSH = "version: 1\ngrants:\n  - {from: ['@acme/alice'], to: [gw1], services: [ssh]}\n";
const WITH_TESTS = `${SSH}tests:
  - {from: "@acme/alice", to: gw1, service: ssh, expect: allow}
  - {from: "@acme/bob", to: gw1, service: ssh, expect: deny}
`;
const FAILING = `${WITH_TESTS}  - {from: "@acme/bob", to: gw1, service: ssh, expect: allow}\n`;

test("test prints a line for each test, needs nothing but the file, and fails when one of them does", async () => {
  const alone = system.newMachine();
  const good = await policy(["test", file(WITH_TESTS, alone)], alone);
  expect(good).toMatchObject({ code: 0, stderr: "All 2 tests pass.\n" });
  expect(good.stdout.split("\n")).toEqual([
    "ok   test 1 (line 5) expects allow for @acme/alice and ssh on gw1: grant 1 allows it",
    "ok   test 2 (line 6) expects deny for @acme/bob and ssh on gw1: no grant has both this client and this device",
    "",
  ]);
  const bad = await policy(["test", file(FAILING, alone)], alone);
  expect(bad.code).toBe(65);
  expect(bad.stdout).toContain(
    "\nFAIL test 3 (line 7) expects allow for @acme/bob and ssh on gw1: no grant has both this client and this device\n",
  );
  expect(bad.stderr).toMatch(/^sshnp-keys: A test of the policy fails: test 3 .*\n.*\n +\[E_POLICY\]\n$/);
  expect(await policy(["test", file("version: 1\n", alone)], alone)).toMatchObject({
    code: 0,
    stderr: "It is a policy, and has no tests.\n",
  });
});

test.each([
  ["an unknown field", "version: 1\ngrant: []\n", /Line 2, column 1: .*grant.*\n.*\[E_POLICY\]/s],
  ["more than fits", `version: 1\n${"#".repeat(8000)}\n`, /is too long .*\n.*\[E_POLICY\]/s],
  ["bytes that are no text", new Uint8Array([0x76, 0xff, 0xfe]), /is not UTF-8 text.*\[E_POLICY\]/s],
  ["no file", undefined, /cannot be read.*\[E_USAGE\]/s],
])("each command says where a text is no policy, and puts nothing in force: %s", async (_what, text, message) => {
  const path = file(text ?? "");
  if (text === undefined) unlinkSync(path);
  for (const words of [["test"], ["diff", name], ["apply", name, "--yes"]]) {
    const exit = await policy([...words, path]);
    expect(exit.stdout).toBe("");
    expect(exit.stderr).toMatch(message);
  }
  expect((await policy(["show", name])).stderr).toContain("has no policy");
});

test("apply signs, shows what changes, and says what happens now; show prints it byte for byte; diff tells 0 from 1", async () => {
  const path = file(WITH_TESTS);
  expect(await policy(["diff", name, path])).toMatchObject({ code: 1, stdout: "+ @acme/alice -> gw1: ssh\n" });
  const first = await policy(["apply", name, path, "--yes"]);
  expect(first).toMatchObject({ code: 0, stdout: "" });
  expect(first.stderr.split("\n")).toEqual([
    "+ @acme/alice -> gw1: ssh",
    `${name} had no policy: its devices let in whom their -m lists. From now on the policy grants; where a device has -m, a client must be in both.`,
    'Each device takes the directory\'s word, once, for the owner key of @acme; put the fingerprint under "owners" to say it yourself.',
    `Policy number 1 of ${name} is in force. Devices that are online obey it now, and end what it does not grant; others before they answer their next request.`,
    "",
  ]);
  const shown = await policy(["show", name]);
  expect(shown).toMatchObject({ code: 0, stdout: WITH_TESTS });
  expect(shown.stderr).toMatch(new RegExp(`^Policy number 1 of ${name}, of \\d{4}-\\S+ \\S+ UTC:\n$`));
  expect(await policy(["diff", name, path])).toMatchObject({ code: 0, stdout: "" });
  expect((await policy(["apply", name, path, "--yes"])).stderr).toMatch(/reads so already, since/);

  const second = await policy([
    "apply",
    name,
    file(SSH.replace("gw1", "gw9").replace("[ssh]", "['tcp:*:80']")),
    "--yes",
  ]);
  expect(second.stderr.split("\n").slice(0, 2)).toEqual([
    "+ @acme/alice -> gw9: tcp:*:80",
    "- @acme/alice -> gw1: ssh",
  ]);
  expect(second.stderr).toContain(`${name} has no device yet of the name gw9.\n`);
  expect(second.stderr).toContain(`Policy number 2 of ${name} is in force.`);
  const log = await runCommand("sshnp-keys", ["log", name], { env: { HOME: machine.home } });
  expect(log.stdout.match(/:policy +\d+ +policy/g)).toHaveLength(2);
});

test("a policy whose tests fail is not signed", async () => {
  const exit = await policy(["apply", name, file(FAILING), "--yes"]);
  expect(exit.code).toBe(65);
  expect(exit.stderr).toContain("[E_POLICY]");
  expect((await policy(["show", name])).stderr).toContain("has no policy");
});

test("without a terminal nothing is signed unless --yes says so, and without the owner key never", async () => {
  const path = file(WITH_TESTS);
  const exit = await policy(["apply", name, path]);
  expect(exit.code).toBe(2);
  expect(exit.stderr).toMatch(/^\+ @acme\/alice -> gw1: ssh\n.*no terminal.*--yes.*\[E_USAGE\]/s);
  unlinkSync(join(machine.keys, `${name}.owner.npkeys`));
  const without = await policy(["apply", name, path, "--yes"]);
  expect(without.code).toBe(78);
  expect(without.stderr).toMatch(/\[E_NO_KEYS\]\n$/);
  expect((await policy(["show", name])).stderr).toContain("has no policy");
});

test("on a terminal a person is asked: only yes is a yes", async () => {
  const path = file(WITH_TESTS);
  await using terminals = await Terminals.start();
  const owner = await terminals.open("owner", { env: { HOME: machine.home } });
  const command = `${process.execPath} ${commandFile("sshnp-keys")} policy apply ${name} ${path}`;
  for (const answer of ["n", "", "yesterday"]) {
    await owner.type(command);
    await owner.shows(/Sign this policy for @acme\d+\? \[y\/N\] $/m);
    await owner.type(answer);
    expect(await owner.prompt()).toContain("Nothing was signed");
  }
  await owner.type(command);
  await owner.shows(/\[y\/N\] $/m);
  await owner.type("yes");
  expect(await owner.prompt()).toContain(`Policy number 1 of ${name} is in force.`);
});

let count = 0;
function file(text: string | Uint8Array, where = machine): string {
  const path = join(where.home, `policy${(count += 1)}.yaml`);
  writeFileSync(path, text);
  return path;
}

function policy(words: readonly string[], where = machine): Promise<Exit> {
  return runCommand("sshnp-keys", ["policy", ...words], { env: { HOME: where.home } });
}
