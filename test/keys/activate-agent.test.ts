import { randomBytes } from "node:crypto";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { utf8 } from "../../keys/bytes.ts";
import { fingerprint, parsePublicKeyLine } from "../../keys/openssh.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { AgentServer } from "../support/agent-server.ts";
import { startAnswerRelay } from "../support/answer-relay.ts";
import { Authenticator } from "../support/authenticator.ts";
import { preloading } from "../support/preload.ts";
import { RealAgent } from "../support/ssh-agent.ts";
import { Activations, type KeyFile, type Machine, told } from "./activation.ts";
import { sshKeygen, sshKeygenOk } from "./ssh-keygen.ts";

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

/** An owner key that no file of ours holds, on a machine that can use it. */
interface Owner extends AsyncDisposable {
  readonly line: string;
  readonly env: Readonly<Record<string, string>>;
  /** `--owner-key agent:SHA256:...` */
  readonly words: readonly string[];
}

const KINDS: readonly (readonly [string, (machine: Machine) => Promise<Owner>])[] = [
  ["in the real ssh-agent", inSshAgent],
  ["on a token", (machine) => onToken(machine, new Authenticator(randomBytes(32)))],
];

describe.each(KINDS)("with an owner key %s", (_, ownerOn) => {
  test("a name is activated, its statements are good for ssh-keygen, and no file has the key", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using owner = await ownerOn(machine);
    const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw", ...owner.words], { env: owner.env });

    const print = fingerprintOf(owner.line);
    expect(exit).toMatchObject({ code: 0, stdout: "" });
    expect(exit.stderr).toContain(`${name} is activated. Owner key: agent:${print}\n  ${print}   for others`);
    expect(exit.stderr).toMatch(/whoever (has it|can use that) speaks for the name, and without it nobody does\.$/m);
    expect(exit.stderr).toMatch(new RegExp(`^This machine is device gw of ${name}\\.\nNext: sshnpd `, "m"));
    expect(await system.members(name)).toEqual([{ member: "gw", role: "device" }]);
    expect(readdirSync(machine.keys)).toEqual([`${name}.gw.npkeys`, "state"]);
    const file = machine.keyFile(name, "gw");
    expect(file).toMatchObject({ kind: "member", owner: owner.line });
    expect(file.statements.map((statement) => verifies(machine, owner.line, statement))).toEqual([true, true]);
  });

  test("a client is activated, too, and asked again it is done already, without the agent", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using owner = await ownerOn(machine);
    expect((await machine.activate(["-a", name, "-c", secret, ...owner.words], { env: owner.env })).code).toBe(0);
    const before = machine.snapshot();
    for (const words of [owner.words, []]) {
      const again = await machine.activate(["-a", name, "-c", "", ...words]);
      expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining("is activated on this machine already") });
    }
    const other = await machine.activate(["-a", name, "-c", "", "--owner-key", `agent:SHA256:${"A".repeat(43)}`]);
    expect(told(other)).toMatchObject({
      code: "E_KEY_EXISTS",
      fact: expect.stringContaining(`with another owner key: ${fingerprintOf(owner.line)}`),
    });
    expect(machine.snapshot()).toEqual(before);
  });

  test("a lost answer is asked for again with the same keys, and with no other owner key", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using owner = await ownerOn(machine);
    const words = ["-a", name, "-c", secret, "-d", "gw"];
    await loseAnswer(machine, [...words, ...owner.words], owner.env);
    expect(await system.members(name)).toHaveLength(1);
    const before = machine.snapshot();

    const without = await machine.activate(words);
    expect(told(without)).toMatchObject({
      code: "E_KEY_EXISTS",
      next: expect.stringContaining(`--owner-key agent:${fingerprintOf(owner.line)}`),
    });
    await using other = await onToken(machine, new Authenticator(randomBytes(32)));
    const wrong = await machine.activate([...words, ...other.words], { env: other.env });
    expect(told(wrong)).toMatchObject({
      code: "E_KEY_EXISTS",
      fact: expect.stringContaining(`was begun here with the owner key ${fingerprintOf(owner.line)}`),
      next: expect.stringContaining(`--owner-key agent:${fingerprintOf(owner.line)}`),
    });
    const elsewise = await machine.activate([...words.slice(0, -1), "gw2", ...owner.words], { env: owner.env });
    expect(told(elsewise)).toMatchObject({ code: "E_KEY_EXISTS", next: expect.stringContaining("with -d gw") });
    expect(machine.snapshot()).toEqual(before);

    const again = await machine.activate([...words, ...owner.words], { env: owner.env });
    expect(again).toMatchObject({ code: 0, stderr: expect.stringContaining(`${name} is activated.`) });
    expect(keyFilesOf(machine.snapshot())).toEqual(keyFilesOf(before));
    expect((await machine.activate(["-a", name, "-c", ""])).code).toBe(0);
  });

  test("a wrong secret leaves nothing behind, and the right one succeeds after it", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using owner = await ownerOn(machine);
    const before = machine.snapshot();
    const words = ["-a", name, "-d", "gw", ...owner.words];
    const wrong = await machine.activate([...words, "-c", "0".repeat(64)], { env: owner.env });
    expect(told({ ...wrong, stderr: wrong.stderr.replaceAll(TOUCH, "") }).code).toBe("E_CRAM_WRONG");
    expect(machine.snapshot()).toEqual(before);
    expect((await machine.activate([...words, "-c", secret], { env: owner.env })).code).toBe(0);
  });
});

const TOUCH = "Touch the token, please: it is to sign.\n";

describe("a token", () => {
  test("is touched three times, for each of which a person is asked, and once when only an answer was lost", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const token = new Authenticator(randomBytes(32), { application: "ssh:acme" });
    await using owner = await onToken(machine, token);
    const words = ["-a", name, "-c", secret, ...owner.words];
    const lost = await loseAnswer(machine, words, owner.env);
    expect(lost.stderr.split(TOUCH)).toHaveLength(4);
    expect(token.signatures).toBe(3);
    const again = await machine.activate(words, { env: owner.env });
    expect(again.code).toBe(0);
    expect(again.stderr).toContain(`${TOUCH}${name} is activated.`);
    expect(again.stderr).toMatch(/^ {2}It is on the token alone: /m);
    expect(token.signatures).toBe(4);
  });

  test.each([1, 2, 3])("that is not touched for signature %i leaves all as it was", async (number) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const token = new Authenticator(randomBytes(32));
    token.onTouch = () => token.signatures + 1 !== number;
    await using owner = await onToken(machine, token);
    const before = machine.snapshot();
    const words = ["-a", name, "-c", secret, "-d", "gw", ...owner.words];
    const exit = await machine.activate(words, { env: owner.env });
    expect(told({ ...exit, stderr: exit.stderr.replaceAll(TOUCH, "") })).toMatchObject({
      code: "E_AGENT",
      fact: "The SSH agent refused to sign.",
    });
    expect(exit.code).toBe(69);
    expect(machine.snapshot()).toEqual(before);
    expect(await system.members(name)).toEqual([]);
    token.onTouch = () => true;
    expect((await machine.activate(words, { env: owner.env })).code).toBe(0);
  });

  test.each([1, 2, 3])(
    "that is waited for to make signature %i holds up no Ctrl-C, which leaves all as it was",
    async (number) => {
      const { name, secret } = await system.newName();
      const machine = system.newMachine();
      const token = new Authenticator(randomBytes(32));
      let waiting = (): void => {};
      const isWaiting = new Promise<void>((resolve) => (waiting = resolve));
      token.onTouch = () => {
        if (token.signatures + 1 !== number) return true;
        waiting();
        return new Promise<never>(() => {});
      };
      await using owner = await onToken(machine, token);
      const before = machine.snapshot();
      const running = machine.start(["-a", name, "-c", secret, "-d", "gw", ...owner.words], { env: owner.env });
      await isWaiting;
      const exit = await running.kill("SIGINT");
      expect(exit).toMatchObject({ code: 130, stderr: expect.stringContaining("[E_INTERRUPTED]") });
      expect(machine.snapshot()).toEqual(before);
    },
  );

  test("may be touched after the directory's nonce has died: another one is asked for", async () => {
    await using late = await Activations.start(leapingOnSignal(61_000));
    const { name, secret } = await late.newName();
    const machine = late.newMachine();
    const token = new Authenticator(randomBytes(32));
    token.onTouch = async () => {
      if (token.signatures + 1 === 3) {
        process.kill(late.directory.pid, "SIGUSR2");
        await late.directory.errorLine(/^leapt$/);
      }
      return true;
    };
    await using owner = await onToken(machine, token);
    const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw", ...owner.words], { env: owner.env });
    expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining(`${name} is activated.`) });
    expect(token.signatures).toBe(4);
    expect(await late.members(name)).toEqual([{ member: "gw", role: "device" }]);
  });
});

describe("refused before anything is sent or made is", () => {
  test.each<
    [string, (machine: Machine, owner: Owner) => { words: readonly string[]; env?: Record<string, string> }, object]
  >([
    [
      "an agent that is not there",
      (_, { words }) => ({ words }),
      { code: "E_AGENT", fact: expect.stringContaining("SSH_AUTH_SOCK is not set") },
    ],
    [
      "an agent that does not answer",
      ({ home }, { words }) => ({ words, env: { SSH_AUTH_SOCK: join(home, "nobody") } }),
      { code: "E_AGENT", fact: expect.stringContaining("(ENOENT)") },
    ],
    [
      "a key that the agent does not have",
      (_, { env }) => ({ words: ["--owner-key", `agent:SHA256:${"A".repeat(43)}`], env }),
      { code: "E_AGENT", next: expect.stringContaining("(ssh-ed25519, ") },
    ],
    [
      "what is no owner key",
      () => ({ words: ["--owner-key", "id_ed25519"] }),
      { code: "E_USAGE", next: expect.stringContaining("agent:SHA256:...") },
    ],
    [
      "a passphrase besides",
      (_, { words, env }) => ({ words: [...words, "--passphrase"], env }),
      { code: "E_USAGE", fact: expect.stringContaining("--owner-key") },
    ],
    [
      "a file with a passphrase besides",
      (_, { words, env }) => ({ words: [...words, "--passphrase-file", "x"], env }),
      { code: "E_USAGE", fact: expect.stringContaining("--owner-key") },
    ],
  ])("%s", async (_, way, refusal) => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await using owner = await inSshAgent(machine);
    const before = machine.snapshot();
    const { words, env = {} } = way(machine, owner);
    const nowhere = system.addressAt(1);
    const exit = await machine.activate(["-a", name, "-c", secret, ...words], { env, directory: nowhere });
    expect(told(exit)).toMatchObject(refusal);
    expect(machine.snapshot()).toEqual(before);
  });

  test("an owner key in an agent where there is one in a file", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    await loseAnswer(machine, ["-a", name, "-c", secret, "-d", "gw"], {}, 3);
    await using owner = await inSshAgent(machine);
    const before = machine.snapshot();
    const exit = await machine.activate(["-a", name, "-c", secret, "-d", "gw", ...owner.words], { env: owner.env });
    expect(told(exit)).toMatchObject({
      code: "E_KEY_EXISTS",
      fact: expect.stringContaining(`${name}.owner.npkeys`),
      next: expect.stringContaining("without --owner-key"),
    });
    expect(machine.snapshot()).toEqual(before);
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw"])).code).toBe(0);
  });
});

async function inSshAgent(machine: Machine): Promise<Owner> {
  const folder = folderOf(machine);
  sshKeygenOk(folder, ["-q", "-t", "ed25519", "-N", "", "-C", "owner", "-f", "key"]);
  const agent = await RealAgent.start(folder);
  await agent.add("-q", "key");
  const [line = ""] = /^ssh-ed25519 \S+/.exec(await agent.add("-L")) ?? [];
  return owned(line, agent);
}

async function onToken(machine: Machine, token: Authenticator): Promise<Owner> {
  return owned(token.line, await AgentServer.serve(folderOf(machine), token.answer));
}

function owned(line: string, agent: AsyncDisposable & { readonly socket: string }): Owner {
  return {
    line,
    env: { SSH_AUTH_SOCK: agent.socket },
    words: ["--owner-key", `agent:${fingerprintOf(line)}`],
    [Symbol.asyncDispose]: () => agent[Symbol.asyncDispose](),
  };
}

let folders = 0;
/** Beside the machine, so that its snapshots do not have it. */
function folderOf({ home }: Machine): string {
  const path = `${home}-agent${(folders += 1)}`;
  mkdirSync(path, { mode: 0o700 });
  return path;
}

function fingerprintOf(line: string): string {
  return fingerprint(nativeSuite, parsePublicKeyLine(line).blob);
}

/** With the directory behind a relay that loses its answer to the proofs, on the connection of that number. */
async function loseAnswer(
  machine: Machine,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
  proofs = 4, // key list, challenge, and another one after the touches
): ReturnType<Machine["activate"]> {
  await using relay = await startAnswerRelay(system.port, (connection) => (connection === proofs ? "lose" : "pass"));
  const exit = await machine.activate(words, { directory: system.addressAt(relay.port), env });
  expect(relay.answers).toBe(proofs);
  expect(exit).toMatchObject({ code: 69, stderr: expect.stringContaining("[E_DIRECTORY]") });
  return exit;
}

/** A process whose clock leaps by so many ms when it is told to by SIGUSR2. */
function leapingOnSignal(ms: number): Record<string, string> {
  return preloading(`const now = Date.now;
    let leap = 0;
    Date.now = () => now() + leap;
    process.on("SIGUSR2", () => {
      leap += ${ms};
      process.stderr.write("leapt\\n");
    });`);
}

function keyFilesOf(snapshot: readonly string[]): string[] {
  return snapshot.filter((line) => line.includes(".npkeys "));
}

/** Whether the real ssh-keygen takes a statement for the owner's. */
function verifies({ home }: Machine, owner: string, statement: KeyFile["statement"]): boolean {
  const { kind } = JSON.parse(statement.text) as { kind: string };
  writeFileSync(join(home, "allowed_signers"), `owner@example.org ${owner}\n`);
  writeFileSync(join(home, "signature"), statement.signature);
  const namespace = `sshnp-${kind}@v1`;
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
  return sshKeygen(home, words, utf8(statement.text)).status === 0;
}
