import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { fingerprintWords } from "../../keys/fingerprint-words.ts";
import { parseFingerprint } from "../../keys/openssh.ts";
import { runCommand, runProcess } from "../support/processes.ts";
import { type Terminal, Terminals } from "../support/terminals.ts";
import { Activations, clientHere, type KeyFile, type Machine, must } from "./activation.ts";
import { ageOnTerminal } from "./age.ts";
import { sshKeygen, sshKeygenOk } from "./ssh-keygen.ts";

const MAIN = join(import.meta.dirname, "../../dist/keys/main.js");

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

test("a device is activated with the line that the directory prints, and told what comes next", async () => {
  const machine = system.newMachine();
  const added = await runCommand("sshnp-directory", ["name", "add", "@device", "--data", system.data], {
    env: { HOME: machine.home },
  });
  const [, line = ""] = /^ {2}sshnp-keys activate (.+)$/m.exec(added.stderr) ?? [];
  const words = line.split(" ").map((word) => word.replaceAll("'", ""));
  const exit = await machine.activate([...words, "-d", "mygateway"], { directory: null });

  const owner = join(machine.keys, "@device.owner.npkeys");
  expect(exit).toMatchObject({ code: 0, stdout: "" });
  expect(exit.stderr).toContain(`@device is activated. Owner key: ${owner}\n`);
  const [, key = "", inWords] =
    /^ {2}(SHA256:\S{43}) {3}for others.*\n {2}([a-z ]+) {3}the same in words$/m.exec(exit.stderr) ?? [];
  expect(inWords).toBe(await fingerprintWords(parseFingerprint(key)));
  expect(exit.stderr).toMatch(/Move that file off this machine: whoever has it speaks for the name/);
  expect(exit.stderr).toMatch(
    /^This machine is device mygateway of @device\.\nNext: sshnpd -a @device -m @WHO -d mygateway -s\n$/m,
  );
  expect(await system.members("@device")).toEqual([{ member: "mygateway", role: "device" }]);
  const file = machine.keyFile("@device", "mygateway");
  expect(file).toMatchObject({ kind: "member", name: "@device", member: "mygateway", role: "device" });
  expect(file.directory).toBe(system.address);
});

test("without -d a client is made, called after this host", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const exit = await machine.activate(["-a", name, "-c", secret]);
  expect(exit).toMatchObject({ code: 0, stdout: "" });
  expect(exit.stderr).toContain(`This machine is client ${clientHere()} of ${name}.\n`);
  expect(exit.stderr).toMatch(new RegExp(`^Next: sshnp -s ${name} @device USER@`, "m"));
  expect(await system.members(name)).toEqual([{ member: clientHere(), role: "client" }]);
  expect(machine.keyFile(name, clientHere())).toMatchObject({ member: clientHere(), role: "client" });
});

const WAYS: readonly [
  string,
  (machine: Machine, secret: string) => { words: string[]; env?: Record<string, string>; input?: string },
][] = [
  ["-c SECRET", (_, secret) => ({ words: ["-c", secret] })],
  ["--cram-secret=SECRET", (_, secret) => ({ words: [`--cram-secret=${secret}`] })],
  ["-c - and a pipe", (_, secret) => ({ words: ["-c", "-"], input: `${secret}\n` })],
  ["-c - and a pipe without a line end", (_, secret) => ({ words: ["-c", "-"], input: secret })],
  ["-c - and a pipe with more behind the line", (_, secret) => ({ words: ["-c", "-"], input: `${secret}\r\nmore` })],
  ["--cram-file", (machine, secret) => ({ words: ["--cram-file", givenFile(machine, `${secret}\n`)] })],
  ["SSHNP_CRAM", (_, secret) => ({ words: [], env: { SSHNP_CRAM: secret } })],
  ["-c before SSHNP_CRAM", (_, secret) => ({ words: ["-c", secret], env: { SSHNP_CRAM: "0".repeat(64) } })],
];
test.concurrent.each(WAYS)("the secret is taken from %s", async (_, way) => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const { words, env = {}, input = "" } = way(machine, secret);
  const exit = await machine.activate(["-a", name, ...words], { env, input });
  expect(exit).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining(`${name} is activated.`) });
});

test("--cram-file may be a pipe, which is waited for, and a line of it is enough", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const pipe = join(machine.home, "pipe");
  await must(machine, "mkfifo", pipe);
  const running = machine.start(["-a", name, "--cram-file", pipe]);
  const writer = await open(pipe, "w"); // until somebody reads
  await writer.write(`${secret}\n`);
  expect(await running.exit()).toMatchObject({ code: 0 });
  await writer.close();
});

test("-c - does not wait for more than a line", async () => {
  const { name, secret } = await system.newName();
  const running = system.newMachine().start(["-a", name, "-c", "-"], { input: null });
  running.stdin.write(`${secret}\n`);
  expect(await running.exit()).toMatchObject({ code: 0 });
});

test.concurrent.each<[string, (machine: Machine) => { words: string[]; env: Record<string, string>; folder: string }]>([
  [
    "--keys",
    ({ home }) => ({
      words: ["--keys", join(home, "a")],
      env: { SSHNP_KEYS: join(home, "b") },
      folder: join(home, "a"),
    }),
  ],
  ["a relative --keys", ({ home }) => ({ words: ["--keys", "here/keys"], env: {}, folder: join(home, "here/keys") })],
  [
    "SSHNP_KEYS",
    ({ home }) => ({
      words: [],
      env: { SSHNP_KEYS: join(home, "b"), XDG_DATA_HOME: join(home, "x") },
      folder: join(home, "b"),
    }),
  ],
  [
    "XDG_DATA_HOME",
    ({ home }) => ({ words: [], env: { XDG_DATA_HOME: join(home, "x") }, folder: join(home, "x/sshnp/keys") }),
  ],
  [
    "HOME, as XDG_DATA_HOME is relative",
    (machine) => ({ words: [], env: { XDG_DATA_HOME: "x" }, folder: machine.keys }),
  ],
  [
    "HOME, as the others are empty",
    (machine) => ({ words: [], env: { SSHNP_KEYS: "", XDG_DATA_HOME: "" }, folder: machine.keys }),
  ],
])("the keys folder comes from %s", async (_, where) => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const { words, env, folder } = where(machine);
  const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw", ...words], { env });
  expect(exit.code).toBe(0);
  expect(readdirSync(folder)).toEqual([`${name}.gw.npkeys`, `${name}.owner.npkeys`, "state"]);
  expect(machine.snapshot().filter((line) => line.includes("npkeys"))).toHaveLength(2);
});

test("SSHNP_DIRECTORY stands for --directory, which comes first", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const env = { SSHNP_DIRECTORY: system.address };
  expect((await machine.activate(["-a", name, "-c", secret], { directory: null, env })).code).toBe(0);
  const other = await system.newName();
  const elsewhere = { SSHNP_DIRECTORY: system.addressAt(1) };
  expect((await machine.activate(["-a", other.name, "-c", other.secret], { env: elsewhere })).code).toBe(0);
});

test("keys are for their owner alone, whatever the umask", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const words = ["-a", name, "-c", secret, "--directory", system.address, "-d", "gw"];
  const command = `umask 0; exec "$@"`;
  const exit = await runProcess("sh", ["-c", command, "sh", process.execPath, MAIN, "activate", ...words], {
    env: { HOME: machine.home },
  });
  expect(exit.code).toBe(0);
  const modes = ["", ...readdirSync(machine.keys, { recursive: true, encoding: "utf8" })].map((path) => {
    const stats = statSync(join(machine.keys, path));
    return [path, stats.mode & 0o777, stats.isDirectory() ? 0o700 : 0o600];
  });
  expect(modes.length).toBeGreaterThan(4);
  for (const [path, mode, wanted] of modes) expect([path, mode]).toEqual([path, wanted]);
});

test("ssh-keygen prints the owner's fingerprint that activation prints, and verifies what the owner signed", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw"]);
  const member = machine.keyFile(name, "gw");
  const [, printed] = /^ +(SHA256:\S{43}) /m.exec(exit.stderr) ?? [];
  writeFileSync(join(machine.home, "owner.pub"), `${member.owner}\n`);
  expect(sshKeygenOk(machine.home, ["-lf", "owner.pub"])).toContain(` ${printed} `);
  expect(exit.stderr).toContain(`${name}=SHA256:`);

  const [statement, binding] = member.statements;
  expect(machine.keyFile(name, "owner").statement).toEqual(statement);
  expect(member.statements).toHaveLength(2);
  expect(verifies(machine, member.owner, "sshnp-name@v1", statement)).toBe(true);
  expect(verifies(machine, member.owner, "sshnp-binding@v1", binding)).toBe(true);
  expect(verifies(machine, member.owner, "sshnp-binding@v1", statement)).toBe(false);
  expect(JSON.parse(statement?.text ?? "")).toMatchObject({
    kind: "name",
    subject: name,
    seq: 1,
    prev: null,
    owner: member.owner,
    expires: null,
  });
  expect(JSON.parse(binding?.text ?? "")).toMatchObject({
    kind: "binding",
    subject: `${name}/gw`,
    seq: 1,
    role: "device",
    expires: null,
  });
});

test("a client's binding lasts a year, and what is issued is issued now", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const before = Date.now();
  await machine.activate(["-a", name, "-c", secret]);
  const [, binding] = machine.keyFile(name, clientHere()).statements;
  const { issued, expires } = JSON.parse(binding?.text ?? "") as { issued: number; expires: number };
  expect(issued).toBeGreaterThanOrEqual(before);
  expect(issued).toBeLessThanOrEqual(Date.now());
  expect(expires - issued).toBe(365 * 24 * 60 * 60_000);
});

test("with SSHNP_CRYPTO=noble the same keys come out", async () => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw"], { env: { SSHNP_CRYPTO: "noble" } });
  expect(exit.code).toBe(0);
  const { owner, statements } = machine.keyFile(name, "gw");
  expect(verifies(machine, owner, "sshnp-binding@v1", statements[1])).toBe(true);
});

test.each([
  [["-d", "gw"], (name: string) => `sshnpd -a ${name} -m @WHO -d gw --keys 'k/my gw' -s`],
  [[], (name: string) => `sshnp --keys 'k/my gw' -s ${name} @device USER@mygateway`],
])("with a folder of one's own and %j the next command names it", async (words, next) => {
  const { name, secret } = await system.newName();
  const exit = await system.newMachine().activate(["-a", name, "-c", secret, ...words, "--keys", "k/my gw"]);
  expect(exit.stderr).toContain(`\nNext: ${next(name)}\n`);
});

test("two names live in one folder, and each remembers its directory", async () => {
  const machine = system.newMachine();
  const one = await system.newName();
  const two = await system.newName();
  for (const { name, secret } of [one, two]) expect((await machine.activate(["-a", name, "-c", secret])).code).toBe(0);
  for (const { name } of [one, two]) expect(machine.keyFile(name, clientHere()).directory).toBe(system.address);
});

test.each([
  ["--passphrase-file", (path: string) => ({ words: ["--passphrase-file", path], env: {} })],
  [
    "--passphrase and SSHNP_PASSPHRASE_FILE",
    (path: string) => ({ words: ["--passphrase"], env: { SSHNP_PASSPHRASE_FILE: path } }),
  ],
])("%s guards the owner key and no other", async (_, way) => {
  const { name, secret } = await system.newName();
  const machine = system.newMachine();
  const { words, env } = way(givenFile(machine, "correct horse battery staple\nsecond line\n"));
  const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw", ...words], { env });
  expect(exit.code).toBe(0);
  expect(machine.keyFile(name, "gw").kind).toBe("member");
  expect(isGuarded(machine, name)).toBe(true);
  expect((await machine.activate(["-a", name, "-c", ""])).code).toBe(0);
});

describe("on a terminal", () => {
  let terminals: Terminals;
  beforeAll(async () => {
    terminals = await Terminals.start();
  });
  afterAll(() => terminals[Symbol.asyncDispose]());

  test("secret and passphrase are asked for and not shown, and age opens the owner key with the passphrase", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const window = await begin(machine, "one", name);
    await answer(window, [
      [/^The one-time secret: /m, secret],
      [/^Passphrase for the owner key: /m, "blue tulip"],
      [/^The same once more: /m, "blue tulip"],
    ]);
    await window.prompt();
    const screen = await window.text();
    expect(screen).toContain(`${name} is activated.`);
    expect(screen).not.toContain(secret.slice(0, 8));
    expect(screen).not.toContain("tulip");
    expect(isGuarded(machine, name)).toBe(true);
    const opened = join(machine.home, "opened");
    const age = ["-d", "-o", opened, join(machine.keys, `${name}.owner.npkeys`)];
    expect(await ageOnTerminal(machine.home, age, "blue tulips\n")).not.toBe(0);
    expect(await ageOnTerminal(machine.home, age, "blue tulip\n")).toBe(0);
    expect(JSON.parse(readFileSync(opened, "utf8"))).toMatchObject({ kind: "owner", name });
  });

  test("two passphrases that differ make nothing", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const window = await begin(machine, "two", name);
    await answer(window, [
      [/^The one-time secret: /m, secret],
      [/^Passphrase for the owner key: /m, "blue tulip"],
      [/^The same once more: /m, "blue tulips"],
    ]);
    expect(await window.prompt()).toMatch(/The two differ\.\n.*\n +\[E_PASSPHRASE\]$/);
    expect(await window.run("echo $?")).toBe("77");
    expect(machine.snapshot()).toHaveLength(1);
  });

  test.each([
    ["three", "C-c", /Interrupted\.[^]*\[E_INTERRUPTED\]$/, "130"],
    ["four", "C-d", /No passphrase was given\.[^]*\[E_PASSPHRASE\]$/, "77"],
  ])("in window %s, %s at a prompt ends it, and nothing is made", async (title, key, message, status) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const window = await begin(machine, title, name);
    await answer(window, [[/^The one-time secret: /m, secret]]);
    await window.shows(/^Passphrase for the owner key: /m);
    await window.press(key);
    expect(await window.prompt()).toMatch(message);
    expect(await window.run("echo $?")).toBe(status);
    expect(machine.snapshot()).toHaveLength(1);
  });

  async function begin(machine: Machine, title: string, name: string): Promise<Terminal> {
    const window = await terminals.open(title, { env: { HOME: machine.home, SSHNP_DIRECTORY: system.address } });
    await window.type(`${process.execPath} ${MAIN} activate -a ${name} -c - -d gw --passphrase`);
    return window;
  }
});

async function answer(window: Terminal, dialogue: readonly (readonly [RegExp, string])[]): Promise<void> {
  for (const [question, line] of dialogue) {
    await window.shows(question);
    await window.type(line);
  }
}

/** Writes a file on the machine and returns its path. */
function givenFile({ home }: Machine, text: string): string {
  const path = join(home, "given");
  writeFileSync(path, text, { mode: 0o600 });
  return path;
}

function verifies(
  { home }: Machine,
  owner: string,
  namespace: string,
  statement: KeyFile["statement"] | undefined,
): boolean {
  writeFileSync(join(home, "allowed_signers"), `owner@example.org ${owner}\n`);
  writeFileSync(join(home, "signature"), statement?.signature ?? "");
  const words = [
    "-Y",
    "verify",
    "-f",
    "allowed_signers",
    "-I",
    "owner@example.org",
    "-n",
    namespace,
    "-s",
    "signature",
  ];
  return sshKeygen(home, words, statement?.text).status === 0;
}

function isGuarded(machine: Machine, name: string): boolean {
  return readFileSync(join(machine.keys, `${name}.owner.npkeys`), "latin1").startsWith(
    "age-encryption.org/v1\n-> scrypt ",
  );
}
