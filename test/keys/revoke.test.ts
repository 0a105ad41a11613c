import { randomBytes } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentServer } from "../support/agent-server.ts";
import { Authenticator } from "../support/authenticator.ts";
import { RealAgent } from "../support/ssh-agent.ts";
import { Activations, type Machine, told } from "./activation.ts";
import { addDevices, keys, keysOk, logOf, newOwned, type Owned, statesOf } from "./owner-commands.ts";
import { sshKeygen, sshKeygenOk } from "./ssh-keygen.ts";

let system: Activations;
beforeAll(async () => {
  system = await Activations.start();
});
afterAll(() => system[Symbol.asyncDispose]());

describe("the owner of a name", () => {
  let owned: Owned;
  beforeAll(async () => {
    owned = await newOwned(system);
    await addDevices(system, owned, 2);
  });

  test("sees its members, and revokes one, which says when and why", async () => {
    const { machine, name, member } = owned;
    expect(await statesOf(machine, name)).toEqual({ [member]: "active", gw1: "active", gw2: "active" });
    const exit = await keys(machine, ["revoke", name, "gw1", "--reason", "sold on 29 November"]);
    expect(exit).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining(`gw1 of ${name} is revoked.`) });
    expect(await statesOf(machine, name)).toEqual({ [member]: "active", gw1: "revoked", gw2: "active" });
    expect(await keysOk(machine, ["list", name])).toMatch(/^gw1 +device +revoked +20\d\d-\d\d-\d\d \d\d:\d\d UTC /m);
    const json = JSON.parse(await keysOk(machine, ["list", name, "--json"])) as {
      members: { reason: string | null }[];
    };
    expect(json.members.map(({ reason }) => reason)).toContain("sold on 29 November");
  });

  test("does so once, and takes it back once", async () => {
    const { machine, name } = owned;
    const { statements } = await logOf(machine, name);
    expect((await keys(machine, ["revoke", name, "gw1"])).stderr).toContain("is revoked already, since 20");
    expect((await logOf(machine, name)).statements).toEqual(statements);
    await keysOk(machine, ["unrevoke", name, "gw1"]);
    expect(await statesOf(machine, name)).toMatchObject({ gw1: "active" });
    expect((await keys(machine, ["unrevoke", name, "gw1"])).stderr).toContain("is not revoked");
    const kinds = (await logOf(machine, name)).statements.filter(({ subject }) => subject === `${name}/gw1`);
    expect(kinds.map(({ kind, seq }) => [kind, seq])).toEqual([
      ["binding", 1],
      ["revocation", 2],
      ["binding", 3],
    ]);
  });

  test("finds it so after a kill -9 of the directory", async () => {
    const { machine, name } = owned;
    await keysOk(machine, ["revoke", name, "gw2"]);
    await system.restart();
    expect(await statesOf(machine, name)).toMatchObject({ gw1: "active", gw2: "revoked" });
  });

  test("revokes this machine's own member, and still takes it back", async () => {
    const { machine, name, member } = owned;
    await keysOk(machine, ["revoke", name, member]);
    expect(await statesOf(machine, name)).toMatchObject({ [member]: "revoked" });
    await keysOk(machine, ["unrevoke", name, member]);
    expect(await statesOf(machine, name)).toMatchObject({ [member]: "active" });
  });

  test("is told of a member that is not there, or cannot be one", async () => {
    const { machine, name } = owned;
    for (const command of ["revoke", "unrevoke", "renew"]) {
      const exit = await keys(machine, [command, name, "nobody"]);
      expect(exit.code).toBe(68);
      expect(told(exit)).toMatchObject({ code: "E_UNKNOWN_NAME", next: `Its members: sshnp-keys list ${name}` });
    }
    expect(told(await keys(machine, ["revoke", name, "No Body"])).code).toBe("E_USAGE");
    expect(told(await keys(machine, ["revoke", name, "gw1", "--reason", "x".repeat(300)])).code).toBe("E_USAGE");
  });
});

describe("the log of a name", () => {
  test("holds statements that the real ssh-keygen verifies, and refuses when a character is changed", async () => {
    const { machine, name } = await newOwned(system, "gw");
    await keysOk(machine, ["revoke", name, "gw", "--reason", 'it "broke" \\ ü']);
    await keysOk(machine, ["unrevoke", name, "gw"]);
    await keysOk(machine, ["rotate", name]);
    const { statements } = await logOf(machine, name);
    expect(statements.map(({ kind }) => kind)).toEqual([
      "name",
      "binding",
      "revocation",
      "binding",
      "rotation",
      "binding",
    ]);
    const owners = statements.flatMap(({ kind, text }) => {
      const { owner } = JSON.parse(text) as { readonly owner?: string };
      return kind === "name" || kind === "rotation" ? [owner] : [];
    });
    writeFileSync(join(machine.home, "allowed"), owners.map((line) => `owner ${line}\n`).join(""));
    for (const { kind, text, signature } of statements) {
      writeFileSync(join(machine.home, "signature"), signature);
      const words = ["-Y", "verify", "-f", "allowed", "-I", "owner", "-n", `sshnp-${kind}@v1`, "-s", "signature"];
      sshKeygenOk(machine.home, words, text);
      expect(sshKeygen(machine.home, words, text.replace('"seq":', '"Seq":')).status).not.toBe(0);
    }
    expect((await keysOk(machine, ["log", name])).split("\n")).toHaveLength(statements.length + 2);
  });
});

describe("an owner key", () => {
  test("in a file with a passphrase is opened for what is signed, and for nothing else", async () => {
    const { name, secret } = await system.newName();
    const machine = system.newMachine();
    const passphrase = join(machine.home, "passphrase");
    writeFileSync(passphrase, "four red roses\n");
    expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw", "--passphrase-file", passphrase])).code).toBe(
      0,
    );
    expect(await statesOf(machine, name)).toEqual({ gw: "active" });
    expect(told(await keys(machine, ["revoke", name, "gw"])).code).toBe("E_PASSPHRASE");
    await keysOk(machine, ["revoke", name, "gw"], { SSHNP_PASSPHRASE_FILE: passphrase });
  });

  test("in the real ssh-agent, or on a token, signs each statement once", async () => {
    const machine = system.newMachine();
    sshKeygenOk(machine.home, ["-q", "-t", "ed25519", "-N", "", "-f", join(machine.home, "key")]);
    const agentHome = join(machine.home, "agent-home");
    mkdirSync(agentHome, { mode: 0o700 });
    await using agent = await RealAgent.start(agentHome);
    await agent.add(join(machine.home, "key"));
    const [, fingerprint = ""] = (await agent.add("-l")).split(" ");
    await revokesWith(machine, `agent:${fingerprint}`, agent.socket);

    const token = new Authenticator(randomBytes(32));
    const other = system.newMachine();
    await using tokens = await AgentServer.serve(other.home, token.answer);
    await revokesWith(other, `agent:${token.fingerprint}`, tokens.socket);
    expect(token.signatures).toBe(3 + 1 + 2); // the activation, the revocation; a look as the owner, and the new binding
  });

  test("without a member beside it reads and revokes all the same", async () => {
    const { machine, name } = await newOwned(system, "gw");
    rmSync(join(machine.keys, `${name}.gw.npkeys`));
    const where = ["--directory", system.address];
    expect(await statesOf(machine, name, ...where)).toEqual({ gw: "active" });
    await keysOk(machine, ["revoke", name, "gw", ...where]);
    expect((await logOf(machine, name, ...where)).statements).toHaveLength(3);
    const without = await keys(machine, ["list", name]);
    expect(told(without)).toMatchObject({ code: "E_USAGE", next: expect.stringContaining(`sshnp-keys show ${name}`) });
  });
});

describe("a stranger", () => {
  test("with no keys of a name is told so, and writes nothing", async () => {
    const { name } = await newOwned(system, "gw");
    const stranger = system.newMachine();
    for (const words of [
      ["list", name],
      ["log", name],
      ["revoke", name, "gw"],
      ["rotate", name],
    ]) {
      expect(told(await keys(stranger, [...words, "--directory", system.address])).code).toBe("E_NO_KEYS");
    }
    expect(stranger.snapshot()).toHaveLength(1);
  });

  test("with another name's keys under that name's is refused by the directory", async () => {
    const [victim, mallory] = [await newOwned(system, "gw"), await newOwned(system, "gw")];
    const folder = join(mallory.machine.home, "forged");
    mkdirSync(folder, { mode: 0o700 });
    const text = mallory.machine.keyFile(mallory.name, "owner");
    const { ed25519 } = text as unknown as { readonly ed25519: string };
    expect(ed25519).toHaveLength(44);
    copyFileSync(
      join(mallory.machine.keys, `${mallory.name}.owner.npkeys`),
      join(folder, `${victim.name}.owner.npkeys`),
    );
    const misnamed = await keys(mallory.machine, [
      "list",
      victim.name,
      "--keys",
      folder,
      "--directory",
      system.address,
    ]);
    expect(told(misnamed).code).toBe("E_BAD_KEY_FILE");

    const token = new Authenticator(randomBytes(32));
    await using agent = await AgentServer.serve(mallory.machine.home, token.answer);
    const words = ["--owner-key", `agent:${token.fingerprint}`, "--directory", system.address];
    for (const verb of [["list"], ["log"], ["revoke", "gw"], ["rotate"]]) {
      const [command = "", ...rest] = verb;
      const exit = await keys(mallory.machine, [command, victim.name, ...rest, ...words], {
        SSH_AUTH_SOCK: agent.socket,
      });
      expect([command, exit.code]).toEqual([command, 77]);
      expect(exit.stderr).toContain("[E_NOT_AUTHORIZED]");
    }
    expect(await statesOf(victim.machine, victim.name)).toEqual({ gw: "active" });
    expect(readdirSync(mallory.machine.keys)).toContain(`${mallory.name}.owner.npkeys`);
  });
});

async function revokesWith(machine: Machine, ownerKey: string, socket: string): Promise<void> {
  const { name, secret } = await system.newName();
  const env = { SSH_AUTH_SOCK: socket };
  expect((await machine.activate(["-a", name, "-c", secret, "-d", "gw", "--owner-key", ownerKey], { env })).code).toBe(
    0,
  );
  expect(told(await keys(machine, ["revoke", name, "gw"], env)).code).toBe("E_NO_KEYS");
  const exit = await keys(machine, ["revoke", name, "gw", "--owner-key", ownerKey], env);
  expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining("is revoked.") });
  expect(await keys(machine, ["unrevoke", name, "gw", "--owner-key", ownerKey], env)).toMatchObject({ code: 0 });
}
