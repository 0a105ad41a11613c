import { randomBytes } from "node:crypto";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AgentServer } from "../support/agent-server.ts";
import { Authenticator } from "../support/authenticator.ts";
import { Activations, type Machine, told } from "./activation.ts";
import { ageOnTerminal } from "./age.ts";
import { cheapBackup } from "./guard.ts";
import { keys, keysOk, logOf, newOwned, type Owned } from "./owner-commands.ts";
import type { Exit } from "../support/processes.ts";
import { createOutside } from "../../keys/outside-files.ts";

const PASSPHRASE = "eight blue tulips";

let system: Activations;
let owned: Owned;
/** The machine, its backup and how that was made, one that is the cheaper to open, and files with the passphrase and another one. */
let machine: Machine;
let backup: string;
let made: Exit;
let cheap: string;
let env: Record<string, string>;
let wrong: Record<string, string>;
beforeAll(async () => {
  system = await Activations.start();
  owned = await newOwned(system, "gw");
  ({ machine } = owned);
  backup = join(machine.home, "acme.age");
  env = passphraseFile(machine, PASSPHRASE);
  wrong = passphraseFile(machine, "another one");
  made = await keys(machine, ["backup", owned.name, backup], env);
  cheap = join(machine.home, "cheap.age");
  await cheapBackup(owned, cheap, PASSPHRASE);
});
afterAll(() => system[Symbol.asyncDispose]());

describe("a backup", () => {
  test("is for its owner alone, and says what it is of and how to bring it back", async () => {
    expect(statSync(backup).mode & 0o777).toBe(0o600);
    const { owner } = await logOf(machine, owned.name);
    expect(made).toMatchObject({ code: 0, stdout: "", stderr: expect.stringContaining(`${backup}: ${owner}\n`) });
    expect(made.stderr).toContain(`sshnp-keys restore ${backup}`);
  });

  test("is opened by the real age with its passphrase alone, to the owner file itself", async () => {
    const plain = join(machine.home, "opened");
    expect(await ageOnTerminal(machine.home, ["-d", "-o", plain, backup], "another one\n")).not.toBe(0);
    expect(existsSync(plain)).toBe(false);
    expect(await ageOnTerminal(machine.home, ["-d", "-o", plain, backup], `${PASSPHRASE}\n`)).toBe(0);
    expect(readFileSync(plain, "utf8")).toBe(readFileSync(ownerPath(machine.keys), "utf8"));
  });

  test("never overwrites anything, nor follows a link", async () => {
    const link = join(machine.home, "link.age");
    symlinkSync(join(machine.home, "elsewhere"), link);
    const before = machine.snapshot();
    for (const file of [backup, link]) {
      // Before it asks for a passphrase, of which there is none, and again when it writes.
      expect(told(await keys(machine, ["backup", owned.name, file])).code).toBe("E_KEY_EXISTS");
      await expect(createOutside(file, new Uint8Array(9))).rejects.toMatchObject({ code: "E_KEY_EXISTS" });
    }
    expect(machine.snapshot()).toEqual(before);
    expect(existsSync(join(machine.home, "elsewhere"))).toBe(false);
  });

  test("is not made without a passphrase, nor where it cannot be written", async () => {
    const file = join(machine.home, "none.age");
    expect(told(await keys(machine, ["backup", owned.name, file])).code).toBe("E_PASSPHRASE");
    expect(existsSync(file)).toBe(false);
    const short = await keys(machine, ["backup", owned.name, file], passphraseFile(machine, "tulips7"));
    expect(told(short)).toMatchObject({ code: "E_PASSPHRASE", fact: expect.stringContaining("8 characters at least") });
    expect(existsSync(file)).toBe(false);
    const nowhere = join(machine.home, "no/such/folder.age");
    const exit = await keys(machine, ["backup", owned.name, nowhere]);
    expect(told(exit)).toMatchObject({ code: "E_STORAGE", fact: expect.stringContaining("ENOENT") });
    await expect(createOutside(nowhere, new Uint8Array(9))).rejects.toMatchObject({ code: "E_STORAGE" });
  });

  test("is not needed for an owner key in an agent, which is told", async () => {
    const { name, secret } = await system.newName();
    const other = system.newMachine();
    const token = new Authenticator(randomBytes(32));
    await using agent = await AgentServer.serve(other.home, token.answer);
    const words = ["-a", name, "-c", secret, "-d", "gw", "--owner-key", `agent:${token.fingerprint}`];
    expect((await other.activate(words, { env: { SSH_AUTH_SOCK: agent.socket } })).code).toBe(0);
    const exit = await keys(other, ["backup", name, join(other.home, "x.age")]);
    expect(told(exit)).toMatchObject({ code: "E_NO_KEYS", fact: expect.stringContaining("nothing to back up") });
    expect(told(exit).next).toContain("ssh-agent");
    expect(exit.code).toBe(78);
  });
});

describe("restore", () => {
  test("brings the owner key back, guarded by the backup's passphrase, and it speaks for the name", async () => {
    const other = system.newMachine();
    const exit = await keys(other, ["restore", backup], env);
    expect(exit).toMatchObject({ code: 0, stdout: "" });
    expect(readdirSync(other.keys).filter((file) => file.endsWith(".npkeys"))).toEqual([`${owned.name}.owner.npkeys`]);
    expect(readFileSync(ownerPath(other.keys)).equals(readFileSync(backup))).toBe(true);
    expect(statSync(ownerPath(other.keys)).mode & 0o777).toBe(0o600);
    await keysOk(other, ["revoke", owned.name, "gw", "--directory", system.address], env);
    await keysOk(machine, ["unrevoke", owned.name, "gw"]);
  });

  test("beside the same key without a passphrase changes nothing", async () => {
    const before = readFileSync(ownerPath(machine.keys), "utf8");
    const exit = await keys(machine, ["restore", cheap], env);
    expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining("already") });
    expect(readFileSync(ownerPath(machine.keys), "utf8")).toBe(before);
  });

  test("beside the same key with the same passphrase changes nothing, from another file with it too", async () => {
    const other = system.newMachine();
    await keysOk(other, ["restore", cheap], env);
    const again = join(other.home, "again.age");
    await cheapBackup(owned, again, PASSPHRASE);
    const before = other.snapshot();
    for (const file of [cheap, again]) {
      const exit = await keys(other, ["restore", file], env);
      expect(exit).toMatchObject({ code: 0, stderr: expect.stringContaining("already") });
    }
    expect(other.snapshot()).toEqual(before);
  });

  test("into a folder that others may use is refused before a passphrase is asked for", async () => {
    const folder = join(machine.home, "open");
    mkdirSync(folder, { mode: 0o755 });
    const exit = await keys(machine, ["restore", cheap, "--keys", folder]);
    expect(told(exit).code).toBe("E_KEY_PERMISSIONS");
  });

  test("overwrites no other key", async () => {
    const other = await newOwned(system, "gw");
    const folder = join(other.machine.home, "mixed");
    mkdirSync(folder, { mode: 0o700 });
    const at = join(folder, `${owned.name}.owner.npkeys`);
    copyFileSync(ownerPath(other.machine.keys, other.name), at);
    const exit = await keys(other.machine, ["restore", cheap, "--keys", folder], env);
    expect(told(exit)).toMatchObject({ code: "E_KEY_EXISTS", fact: expect.stringContaining(at) });
    expect(readFileSync(at, "utf8")).toBe(readFileSync(ownerPath(other.machine.keys, other.name), "utf8"));
  });

  test.each([
    ["a wrong passphrase", () => cheap, () => wrong, "E_PASSPHRASE"],
    [
      "a damaged file",
      () => changed("damaged", (bytes) => bytes.with(bytes.length - 5, 0x55)),
      () => env,
      "E_BAD_KEY_FILE",
    ],
    ["a file that was cut", () => changed("cut", (bytes) => bytes.subarray(0, -20)), () => env, "E_BAD_KEY_FILE"],
    ["an empty file", () => changed("empty", () => new Uint8Array(0)), () => env, "E_BAD_KEY_FILE"],
    ["an owner file as it is", () => ownerPath(machine.keys), () => env, "E_BAD_KEY_FILE"],
    ["a file that is not there", () => join(machine.home, "nothing"), () => env, "E_STORAGE"],
    ["a folder", () => machine.home, () => env, "E_STORAGE"],
    ["no passphrase", () => cheap, () => ({}), "E_PASSPHRASE"],
  ])("with %s says so and leaves nothing", async (_, file, environment, code) => {
    const other = system.newMachine();
    const exit = await keys(other, ["restore", file()], environment());
    expect(told(exit).code).toBe(code);
    expect(other.snapshot()).toHaveLength(1);
  });

  test("of a key that was rotated away is refused: by the folder, and by the directory where it is known", async () => {
    const rotated = await newOwned(system, "gw");
    const { name } = rotated;
    const old = join(rotated.machine.home, "old.age");
    await cheapBackup(rotated, old, PASSPHRASE);
    await keysOk(rotated.machine, ["rotate", name]);
    const here = await keys(rotated.machine, ["restore", old], env);
    expect(told(here)).toMatchObject({ code: "E_OWNER_KEY", next: expect.stringContaining("rotated away") });
    expect(here.code).toBe(76);

    const other = system.newMachine();
    const asked = await keys(other, ["restore", old, "--directory", system.address], env);
    expect(told(asked).code).toBe("E_OWNER_KEY");
    expect(existsSync(ownerPath(other.keys, name))).toBe(false);
    const unasked = await keys(other, ["restore", old, "--directory", system.addressAt(1)], env);
    expect(unasked).toMatchObject({ code: 0, stderr: expect.stringContaining("is not known") });
    const used = await keys(other, ["list", name, "--directory", system.address], env);
    expect(told(used)).toMatchObject({ code: "E_NOT_AUTHORIZED", next: expect.stringContaining("rotated away") });
  });
});

function ownerPath(folder: string, name: string = owned.name): string {
  return join(folder, `${name}.owner.npkeys`);
}

/** A backup with a change, in a file of its own. */
function changed(file: string, change: (bytes: Uint8Array) => Uint8Array): string {
  const path = join(machine.home, file);
  writeFileSync(path, change(new Uint8Array(readFileSync(cheap))));
  return path;
}

function passphraseFile({ home }: Machine, passphrase: string): Record<string, string> {
  const path = join(home, `passphrase-${passphrase.length}`);
  writeFileSync(path, `${passphrase}\n`);
  return { SSHNP_PASSPHRASE_FILE: path };
}
