import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { signText } from "../../keys/owner-signer.ts";
import { policyText } from "../../protocol/owner-statements.ts";
import { AgentServer, withLength } from "../support/agent-server.ts";
import { startAnswerRelay } from "../support/answer-relay.ts";
import { Authenticator } from "../support/authenticator.ts";
import { signalAt } from "../support/preload.ts";
import { runCommand } from "../support/processes.ts";
import { RealAgent } from "../support/ssh-agent.ts";
import { Terminals } from "../support/terminals.ts";
import { Activations, type Machine, told } from "./activation.ts";
import { guardFile, guardOwner } from "./guard.ts";
import { addDevices, keys, keysOk, logOf, newOwned, type Owned, ownerHere, statesOf } from "./owner-commands.ts";
import { sshKeygenOk } from "./ssh-keygen.ts";

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

describe("a name whose owner key is in a file", () => {
  test("goes on under a new key in its place, and the old one is kept beside and speaks for nobody", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    const before = readFileSync(ownerPath(owned), "utf8");
    const first = await logOf(machine, name);
    const exit = await keys(machine, ["rotate", name]);
    expect(exit).toMatchObject({ code: 0, stdout: "" });

    const log = await logOf(machine, name);
    expect(log.owner).not.toBe(first.owner);
    expect(log.statements.map(({ kind, signedBy }) => [kind, signedBy])).toEqual([
      ["name", first.owner],
      ["binding", first.owner],
      ["rotation", first.owner],
      ["binding", log.owner],
    ]);
    expect(exit.stderr).toContain(`  ${log.owner}   for others to compare`);
    expect(exit.stderr).toContain(`Whoever knows ${first.owner} accepts the new key by its rotation`);
    expect(keyFiles(owned)).toEqual([`${name}.gw.npkeys`, `${name}.owner.1.npkeys`, `${name}.owner.npkeys`]);
    expect(readFileSync(join(machine.keys, `${name}.owner.1.npkeys`), "utf8")).toBe(before);
    for (const file of keyFiles(owned)) expect(statSync(join(machine.keys, file)).mode & 0o777).toBe(0o600);
    expect(await statesOf(machine, name)).toEqual({ gw: "active" });
    expect(await keysOk(machine, ["show", name])).toContain(log.owner);
  });

  test("is handed on by whoever agrees, and stays as it is where nobody can be asked", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    const before = readFileSync(ownerPath(owned), "utf8");
    const options = { cwd: machine.home, env: { HOME: machine.home } };
    const unasked = await runCommand("sshnp-keys", ["rotate", name], options);
    expect(unasked).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/no terminal to ask on .*\n +If that is meant, give --yes\.\n +\[E_USAGE\]\n$/),
    });
    await using terminals = await Terminals.start();
    const window = await terminals.open("owner", options);
    const main = join(import.meta.dirname, "../../dist/keys/main.js");
    await window.type(`${process.execPath} ${main} rotate ${name}`);
    await window.shows(/Sign the rotation for @\S+\? \[y\/N\] /);
    await window.type("n");
    expect(await window.prompt()).toMatch(/\[E_INTERRUPTED\]$/);
    expect(readFileSync(ownerPath(owned), "utf8")).toBe(before);
    expect(keyFiles(owned)).toEqual([`${name}.gw.npkeys`, `${name}.owner.npkeys`]);
  });

  test("is handed on more than once, and shown with the key of now", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    for (let i = 0; i < 3; i += 1) await keysOk(machine, ["rotate", name]);
    const log = await logOf(machine, name);
    expect(log.statements.filter(({ kind }) => kind === "rotation").map(({ seq }) => seq)).toEqual([2, 3, 4]);
    expect(new Set(log.statements.map(({ signedBy }) => signedBy)).size).toBe(4);
    expect(await statesOf(machine, name)).toEqual({ gw: "active" });
    expect(await keysOk(machine, ["show", name])).toContain(log.owner);
    expect(keyFiles(owned).filter((file) => /owner\.\d/.test(file))).toHaveLength(3);
  });

  test("is no more the old key's, which is refused by name", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    await keysOk(machine, ["rotate", name]);
    const former = join(machine.home, "former");
    mkdirSync(former, { mode: 0o700 });
    copyFileSync(join(machine.keys, `${name}.owner.1.npkeys`), join(former, `${name}.owner.npkeys`));
    copyFileSync(join(machine.keys, `${name}.gw.npkeys`), join(former, `${name}.gw.npkeys`));
    const exit = await keys(machine, ["revoke", name, "gw", "--keys", former]);
    expect(told(exit)).toMatchObject({
      code: "E_OWNER_KEY",
      fact: expect.stringContaining((await logOf(machine, name)).owner),
      next: expect.stringContaining("rotated away"),
    });
    expect(exit.code).toBe(76);
    expect(await statesOf(machine, name)).toEqual({ gw: "active" });
  });

  test("leaves no file of the old key with --remove-old", async () => {
    const owned = await newOwned(system, "gw");
    await keysOk(owned.machine, ["rotate", owned.name, "--remove-old"]);
    expect(keyFiles(owned)).toEqual([`${owned.name}.gw.npkeys`, `${owned.name}.owner.npkeys`]);
  });

  test("needs no member beside its owner file", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    rmSync(join(machine.keys, `${name}.gw.npkeys`));
    const where = ["--directory", system.address];
    await keysOk(machine, ["rotate", name, ...where]);
    await keysOk(machine, ["rotate", name, ...where]);
    expect(await statesOf(machine, name, ...where)).toEqual({ gw: "active" });
  });

  test("has its new key guarded as the old one was, or by another passphrase", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    const [first, second] = ["first", "second"].map((file) => join(machine.home, file)) as [string, string];
    for (const file of [first, second]) writeFileSync(file, `${file}\n`);
    await guardOwner(owned, first);
    const before = readFileSync(ownerPath(owned));
    const wrong = await keys(machine, ["rotate", name], { SSHNP_PASSPHRASE_FILE: second });
    expect(told(wrong).code).toBe("E_PASSPHRASE");
    const short = join(machine.home, "short");
    writeFileSync(short, "tulips7\n");
    // That it will not do is told without the old passphrase.
    const weak = await keys(machine, ["rotate", name, "--passphrase-file", short]);
    expect(told(weak)).toMatchObject({ code: "E_PASSPHRASE", fact: expect.stringContaining("8 characters at least") });
    expect(readFileSync(ownerPath(owned))).toEqual(before);
    await keysOk(machine, ["rotate", name], { SSHNP_PASSPHRASE_FILE: first });
    expect(readFileSync(ownerPath(owned), "latin1")).toMatch(/^age-encryption\.org\/v1\n-> scrypt \S+ 18\n/);
    await keysOk(machine, ["rotate", name, "--passphrase-file", second], { SSHNP_PASSPHRASE_FILE: first });
    await keysOk(machine, ["revoke", name, "gw"], { SSHNP_PASSPHRASE_FILE: second });
  });
});

describe("what counts by the old key's word", () => {
  let owned: Owned;
  beforeAll(async () => {
    owned = await newOwned(system);
    const { machine, name } = owned;
    await addDevices(system, owned, 20);
    await keysOk(machine, ["revoke", name, "gw3", "--reason", "sold"]);
    await keysOk(machine, [
      "delegate",
      name,
      "--role",
      "device",
      "--pattern",
      "field-*",
      "--uses",
      "5",
      "--expires",
      "30d",
    ]);
    const work = await ownerHere(system, owned);
    await work.account();
    const fields = { seq: 1, prev: null, issued: work.directory.directoryTime, expires: null };
    const text = policyText(work.random, { name: work.name, ...fields, policy: "version: 1\n" });
    await work.put([await signText(await work.signer(), text)]);
    await keysOk(machine, ["rotate", name]);
  });

  test("goes on, however much there is: members, fleet tokens and the policy", async () => {
    const { chain, members, delegations, policy, history } = await (await ownerHere(system, owned)).account();
    expect(members).toHaveLength(21);
    for (const { member, newest, condition } of members) {
      expect([member, newest.signer, condition]).toEqual([
        member,
        chain.owner,
        member === "gw3" ? "revoked" : "active",
      ]);
    }
    expect(delegations.map(({ condition, newest }) => [condition, newest.signer])).toEqual([["active", chain.owner]]);
    expect(policy?.policy.statement).toMatchObject({ seq: 2, policy: "version: 1\n" });
    expect(history.filter(({ kind }) => kind === "policy").map(({ signer }) => signer === chain.owner)).toEqual([
      false,
      true,
    ]);
  });

  test("is what it was: keys, ends and reasons", async () => {
    const { members } = await (await ownerHere(system, owned)).account();
    const client = members.find(({ binding }) => binding.statement.role === "client");
    const file = owned.machine.keyFile(owned.name, owned.member);
    const first = JSON.parse(file.statements[1]?.text ?? "") as { x25519: string; ed25519: string; expires: number };
    const { x25519, ed25519, expires } = client?.binding.statement ?? {};
    expect({ x25519: x25519?.toJSON(), ed25519: ed25519?.toJSON(), expires }).toEqual({
      ...{ x25519: first.x25519, ed25519: first.ed25519, expires: first.expires },
    });
    expect(members.find(({ member }) => member === "gw3")?.revocation?.statement.reason).toBe("sold");
  });

  test("may be changed by the new key: who was revoked comes back", async () => {
    // That the key before has bound it is for its owner to look at.
    const unasked = await keys(owned.machine, ["unrevoke", owned.name, "gw3"]);
    expect(unasked.code).toBe(2);
    expect(unasked.stderr).toMatch(/has signed that gw3 has the key\n {2}SHA256:\S{43}\n.*\[E_USAGE\]/s);
    expect(await statesOf(owned.machine, owned.name)).toMatchObject({ gw3: "revoked" });
    await keysOk(owned.machine, ["unrevoke", owned.name, "gw3", "--yes"]);
    expect(await statesOf(owned.machine, owned.name)).toMatchObject({ gw3: "active" });
  });
});

describe("a key in an agent", () => {
  test("takes over from a file, hands on to a token and that to a file, each with its signature alone", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    sshKeygenOk(machine.home, ["-q", "-t", "ed25519", "-N", "", "-f", join(machine.home, "key")]);
    const token = new Authenticator(randomBytes(32));
    await using agent = await RealAgent.start(machine.home);
    await agent.add(join(machine.home, "key"));
    const [, inAgent = ""] = (await agent.add("-l")).split(" ");

    const env = { SSH_AUTH_SOCK: agent.socket };
    const exit = await keys(machine, ["rotate", name, "--to", `agent:${inAgent}`], env);
    expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining(`Owner key: agent:${inAgent}\n`) });
    expect(keyFiles(owned)).toEqual([`${name}.gw.npkeys`, `${name}.owner.1.npkeys`]);
    expect((await logOf(machine, name)).owner).toBe(inAgent);
    const again = await keys(machine, ["rotate", name, "--to", `agent:${inAgent}`], env);
    expect(again.code).toBe(0);
    expect((await logOf(machine, name)).statements).toHaveLength(4);

    const tokens = join(machine.home, "tokens");
    mkdirSync(tokens, { mode: 0o700 });
    await using both = await AgentServer.serve(tokens, async (request) => {
      const isTokens = request[0] === 13 && request.includes(token.blob);
      if (isTokens) return await token.answer(request);
      return request[0] === 11 ? identities(token.blob, publicBlob(machine)) : await relayed(agent.socket, request);
    });
    const words = ["rotate", name, "--owner-key", `agent:${inAgent}`, "--to", `agent:${token.fingerprint}`];
    await keysOk(machine, words, { SSH_AUTH_SOCK: both.socket });
    expect((await logOf(machine, name)).owner).toBe(token.fingerprint);
    expect(token.signatures).toBe(1); // of the device's binding; the rotation is the old key's

    await keysOk(machine, ["rotate", name, "--owner-key", `agent:${token.fingerprint}`], {
      SSH_AUTH_SOCK: both.socket,
    });
    expect(token.signatures).toBe(2);
    expect(keyFiles(owned)).toContain(`${name}.owner.npkeys`);
    expect(await statesOf(machine, name)).toEqual({ gw: "active" });
    await keysOk(machine, ["revoke", name, "gw"]);
  });

  test("that was rotated away is not taken again", async () => {
    const { machine, name } = await newOwned(system, "gw");
    const token = new Authenticator(randomBytes(32));
    await using agent = await AgentServer.serve(machine.home, token.answer);
    const env = { SSH_AUTH_SOCK: agent.socket };
    const key = `agent:${token.fingerprint}`;
    await keysOk(machine, ["rotate", name, "--to", key], env);
    await keysOk(machine, ["rotate", name, "--owner-key", key], env);
    const exit = await keys(machine, ["rotate", name, "--to", key], env);
    expect(told(exit)).toMatchObject({ code: "E_OWNER_KEY", fact: expect.stringContaining("rotated away") });
  });
});

describe("cut off", () => {
  test("by kill -9 ahead of any change to the disk, the same command goes on, and the name is handed on once", async () => {
    const count = await changesOf();
    expect(count).toBeGreaterThan(8);
    await forEach(count, async (change) => {
      const owned = await newOwned(system, "gw");
      const { machine, name } = owned;
      const cut = await keys(machine, ["rotate", name], signalAt(change, "SIGKILL"));
      expect([change, cut.signal]).toEqual([change, "SIGKILL"]);
      await keysOk(machine, ["rotate", name]);
      await expectHandedOnOnce(owned, change);
    });
  });

  test("by the loss of any answer of the directory, it goes on likewise", async () => {
    const count = await answersOf();
    expect(count).toBeGreaterThan(3);
    await forEach(count, async (answer) => {
      const owned = await newOwned(system, "gw");
      const { machine, name } = owned;
      await using relay = await startAnswerRelay(system.port, (connection) =>
        connection === answer ? "lose" : "pass",
      );
      const cut = await keys(machine, ["rotate", name, "--directory", system.addressAt(relay.port)]);
      if (cut.code !== 0) {
        expect([answer, told({ ...cut, stderr: lastLines(cut.stderr, 3) }).code]).toEqual([answer, "E_DIRECTORY"]);
        await keysOk(machine, ["rotate", name]);
      }
      await expectHandedOnOnce(owned, answer);
    });
  });

  test("between two messages of many statements, it goes on with those that are missing", async () => {
    const owned = await newOwned(system, "gw");
    const { machine, name } = owned;
    await addDevices(system, owned, 20);
    const count = await answersOf(owned);
    const last = await newOwned(system, "gw");
    await addDevices(system, last, 20);
    await using relay = await startAnswerRelay(system.port, (connection) =>
      connection === count - 1 ? "lose" : "pass",
    );
    const cut = await keys(last.machine, ["rotate", last.name, "--directory", system.addressAt(relay.port)]);
    expect(cut.code).toBe(69);
    const between = Object.values(await statesOf(last.machine, last.name));
    expect(between.filter((state) => state === "active").length).toBeGreaterThanOrEqual(15);
    expect(between).toContain("orphaned");
    await keysOk(last.machine, ["rotate", last.name]);
    expect(new Set(Object.values(await statesOf(last.machine, last.name)))).toEqual(new Set(["active"]));
    expect(Object.values(await statesOf(machine, name))).toHaveLength(21);
  });

  // Each passphrase costs a second or more, several on a busy machine.
  test("its new key gets no other guard than it was begun with, and never none in place of one", {
    timeout: 240_000,
  }, async () => {
    const cutOff = async (...words: string[]): Promise<Owned> => {
      const owned = await newOwned(system, "gw");
      const signal = signalAt(await changesOf(), "SIGKILL");
      expect((await keys(owned.machine, ["rotate", owned.name, ...words], signal)).signal).toBe("SIGKILL");
      return owned;
    };
    const file = join(system.newMachine().home, "passphrase");
    writeFileSync(file, "four red roses\n");
    const guard = ["--passphrase-file", file];

    const plain = await cutOff();
    const before = readFileSync(ownerPath(plain));
    const refused = told(await keys(plain.machine, ["rotate", plain.name, ...guard]));
    expect(refused).toMatchObject({
      code: "E_KEY_EXISTS",
      next: expect.stringMatching(/^Finish it first: .*passphrase/),
    });
    expect(readFileSync(ownerPath(plain))).toEqual(before);
    await keysOk(plain.machine, ["rotate", plain.name]);
    await keysOk(plain.machine, ["rotate", plain.name, ...guard]);
    expect(readFileSync(ownerPath(plain), "latin1")).toMatch(/^age-encryption/);

    const nextOf = (owned: Owned): string => join(owned.machine.keys, `${owned.name}.owner.next.npkeys`);
    expect(readFileSync(nextOf(await cutOff(...guard)), "latin1")).toMatch(/^age-encryption/);
    const guarded = await cutOff();
    await guardFile(nextOf(guarded), "four red roses");
    copyFileSync(nextOf(guarded), ownerPath(guarded)); // whose place it had taken when it was cut off
    const other = join(guarded.machine.home, "other");
    writeFileSync(other, "another\n");
    const wrong = await keys(guarded.machine, ["rotate", guarded.name, "--passphrase-file", other]);
    expect(told(wrong).code).toBe("E_PASSPHRASE");
    await keysOk(guarded.machine, ["rotate", guarded.name, ...guard]);
    expect(readFileSync(ownerPath(guarded), "latin1")).toMatch(/^age-encryption/);
  });

  test("it is not mixed with a rotation to a key in an agent", async () => {
    const { machine, name } = await newOwned(system, "gw");
    const count = await changesOf();
    expect((await keys(machine, ["rotate", name], signalAt(count, "SIGKILL"))).signal).toBe("SIGKILL");
    const token = new Authenticator(randomBytes(32));
    await using agent = await AgentServer.serve(machine.home, token.answer);
    const exit = await keys(machine, ["rotate", name, "--to", `agent:${token.fingerprint}`], {
      SSH_AUTH_SOCK: agent.socket,
    });
    expect(told(exit)).toMatchObject({ code: "E_KEY_EXISTS", next: `Finish it first: sshnp-keys rotate ${name}` });
  });
});

function ownerPath({ machine, name }: Pick<Owned, "machine" | "name">): string {
  return join(machine.keys, `${name}.owner.npkeys`);
}

function keyFiles({ machine }: Pick<Owned, "machine">): string[] {
  return readdirSync(machine.keys).filter((file) => file.endsWith(".npkeys"));
}

async function expectHandedOnOnce(owned: Owned, at: number): Promise<void> {
  const { machine, name } = owned;
  const { chain, members, history } = await (await ownerHere(system, owned)).account();
  const kinds = history.map(({ kind }) => kind).filter((kind) => kind === "rotation");
  expect([at, kinds]).toEqual([at, ["rotation"]]);
  expect([at, members.map(({ condition }) => condition)]).toEqual([at, ["active"]]);
  const work = await ownerHere(system, owned);
  expect([at, (await work.signer()).line]).toEqual([at, chain.owner]);
  expect([at, keyFiles(owned)]).toEqual([at, [`${name}.gw.npkeys`, `${name}.owner.1.npkeys`, `${name}.owner.npkeys`]]);
  expect(existsSync(join(machine.keys, `${name}.owner.next.npkeys`))).toBe(false);
}

/** From 1 to `count`, some at a time. */
async function forEach(count: number, action: (i: number) => Promise<void>): Promise<void> {
  let next = 1;
  const worker = async (): Promise<void> => {
    while (next <= count) await action(next++);
  };
  await Promise.all([worker(), worker()]);
}

let changes: Promise<number> | undefined;

/** How many changes to the disk a rotation makes. */
function changesOf(): Promise<number> {
  return (changes ??= countChanges());
}

async function countChanges(): Promise<number> {
  const { machine, name } = await newOwned(system, "gw");
  const exit = await keys(machine, ["rotate", name], signalAt(0, "SIGKILL"));
  return Number(/^changes: (\d+)$/m.exec(exit.stderr)?.[1]);
}

/** How many answers of the directory a rotation takes. */
async function answersOf(owned?: Owned): Promise<number> {
  const { machine, name } = owned ?? (await newOwned(system, "gw"));
  await using relay = await startAnswerRelay(system.port, () => "pass");
  await keysOk(machine, ["rotate", name, "--directory", system.addressAt(relay.port)]);
  return relay.answers;
}

function lastLines(text: string, count: number): string {
  return `${text.trimEnd().split("\n").slice(-count).join("\n")}\n`;
}

function publicBlob({ home }: Machine): Buffer {
  return Buffer.from(readFileSync(join(home, "key.pub"), "utf8").split(" ")[1] ?? "", "base64");
}

function identities(...blobs: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(12);
  head.writeUInt32BE(blobs.length, 1);
  return Buffer.concat([head, ...blobs.flatMap((blob) => [withLength(blob), withLength("key")])]);
}

/** The answer of another agent. */
async function relayed(socket: string, request: Buffer): Promise<Buffer> {
  const agent = connect(socket);
  agent.write(withLength(request));
  const chunks: Buffer[] = [];
  for await (const chunk of agent as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    const bytes = Buffer.concat(chunks);
    if (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) return bytes.subarray(4);
  }
  throw new Error("the agent has gone");
}
