import { randomBytes } from "node:crypto";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DirectoryClient, putStatements } from "../../directory/client.ts";
import { enrol } from "../../keys/cli/enrolment.ts";
import { delegationKey, parseFleetToken } from "../../keys/enrolment-secrets.ts";
import { DeniedError, UnavailableError } from "../../keys/errors.ts";
import { parseMember, parseName } from "../../keys/names.ts";
import { parseDirectoryAddress } from "../../protocol/directory-address.ts";
import { LAST_TIME_MS } from "../../protocol/limits.ts";
import { signWith } from "../../protocol/statement-fields.ts";
import { firstBinding } from "../../protocol/statements.ts";
import { nativeSuite } from "../../protocol/suite/native.ts";
import { newApplicant } from "../directory/applicant.ts";
import { type Exit, type RunningProcess, startCommand } from "../support/processes.ts";
import { Terminals } from "../support/terminals.ts";
import { Activations, activateHere, type Machine, snapshotOf, told } from "./activation.ts";

const MAIN = join(import.meta.dirname, "../../dist/keys/main.js");

let system: Activations;
let name: string;
let owner: Machine;
beforeAll(async () => {
  system = await Activations.start();
  ({ name, owner } = await newOwner());
});
afterAll(() => system[Symbol.asyncDispose]());

describe("a machine with a one-time password", () => {
  test("waits, shows the owner's code, and is a member when he has approved", async () => {
    const machine = system.newMachine();
    const password = await otp("--role", "client", "--member", "laptop*");
    const words = ["enroll", name, "laptop2", "--otp", "-", "--directory", system.address];
    const asking = start(machine, ...words);
    asking.stdin.end(`${password}\n`);
    const asked = await asking.exit();
    expect(asked).toMatchObject({ code: 75, stdout: "" });
    const [, code = ""] = /\(code ((?:[0-9a-z]{4}-?){4})\)/.exec(told(asked).fact) ?? [];
    expect(await must(owner, "list", name)).toMatch(
      new RegExp(`^PENDING +ROLE +CODE +WAITS\nlaptop2 +client +${code} +0 min$`, "m"),
    );
    expect(await enroll(machine, "laptop2")).toMatchObject({ code: 75 });
    const waiting = await enroll(machine, "laptop2", "--wait");
    expect(waiting.code).toBe(2);
    expect(told(waiting)).toMatchObject({ code: "E_USAGE", next: expect.stringContaining("--otp -") });
    const device = await run(machine, "enroll", name, "gw", "-d", "--wait", "--directory", system.address);
    expect(told(device).next).toMatch(
      new RegExp(`the directory's address: sshnp-keys enroll ${name} gw -d --otp - --wait --directory '?http:`),
    );

    const wrong = await run(owner, "approve", name, "laptop2", "--code", "0000-0000-0000-0000");
    expect(wrong.code).toBe(76);
    expect(told(wrong)).toMatchObject({ code: "E_MEMBER_KEY", fact: expect.stringContaining("Nothing was signed.") });
    expect(told(wrong).fact).toContain("The code is not that of laptop2 here");
    expect(wrong.stderr).not.toContain(code); // it is to be read from the new machine
    for (const typed of [code.slice(0, 4), `${code.slice(0, -1)}u`, `${code}0`]) {
      const cut = await run(owner, "approve", name, "laptop2", "--code", typed);
      expect(cut.code).toBe(2);
      expect(told(cut)).toMatchObject({ code: "E_USAGE", fact: expect.stringContaining("has 16 digits and letters") });
    }
    expect((await run(owner, "approve", name, "laptop2")).code).toBe(2); // nobody can be asked
    await must(owner, "approve", name, "laptop2", "--code", code.toUpperCase());

    const done = await enroll(machine, "laptop2");
    expect(done).toMatchObject({
      code: 0,
      stderr: expect.stringContaining(`This machine is client laptop2 of ${name}.\n`),
    });
    expect(machine.keyFile(name, "laptop2")).toMatchObject({ role: "client", directory: system.address });
    expect(await enroll(machine, "laptop2")).toMatchObject({ code: 0, stderr: expect.stringContaining("already") });
    // It reads as a member, and no pending keys are left.
    expect(await must(machine, "list", name)).toMatch(/^laptop2 +client +active /m);
    expect(snapshotOf(machine.home).join("\n")).not.toContain("enrolment.");
  });

  test("that waits is told over a directory that was killed meanwhile", async () => {
    const machine = system.newMachine();
    const words = ["gw-wait", "-d", "--otp", "-", "--wait"];
    const waiting = start(machine, "enroll", name, ...words, "--directory", system.address);
    waiting.stdin.end(await otp());
    const [, code = ""] = await waiting.errorLine(/Code to compare: (\S+)$/);
    await system.restart();
    await must(owner, "approve", name, "gw-wait", "--code", code);
    expect(await waiting.exit()).toMatchObject({ code: 0 });
    expect(machine.keyFile(name, "gw-wait")).toMatchObject({ role: "device" });
  });

  test("of two at once on one machine one asks, and the other is told so and changes nothing", async () => {
    const machine = system.newMachine();
    const words = ["gw-once", "-d", "--otp", "-", "--wait"];
    const first = start(machine, "enroll", name, ...words, "--directory", system.address);
    first.stdin.end(await otp());
    const [, code = ""] = await first.errorLine(/Code to compare: (\S+)$/);
    const before = machine.snapshot();
    const second = await enroll(machine, "gw-once", "-d", "--otp", await otp());
    expect(second.code).toBe(75);
    expect(told(second)).toMatchObject({ code: "E_RUNNING" });
    expect(machine.snapshot()).toEqual(before);
    await must(owner, "approve", name, "gw-once", "--code", code);
    expect(await first.exit()).toMatchObject({ code: 0 });
    expect(snapshotOf(machine.home).join("\n")).not.toContain("enrolment.");
  });

  test("that is interrupted goes on when it is run again", async () => {
    const machine = system.newMachine();
    const password = await otp();
    const waiting = start(
      machine,
      "enroll",
      name,
      "gw-stop",
      "--otp",
      password,
      "--wait",
      "--directory",
      system.address,
    );
    const [, code] = await waiting.errorLine(/Code to compare: (\S+)$/);
    expect(await waiting.kill("SIGINT")).toMatchObject({ code: 130 });
    const again = start(machine, "enroll", name, "gw-stop", "--otp", password, "--wait");
    expect((await again.errorLine(/Code to compare: (\S+)$/))[1]).toBe(code);
    await must(owner, "deny", name, "gw-stop");
    const denied = await again.exit();
    expect(denied.code).toBe(77);
    expect(denied.stderr).toContain("[E_NOT_AUTHORIZED]");
    const used = await enroll(machine, "gw-stop", "--otp", password);
    expect(used.code).toBe(77);
    expect(told(used)).toMatchObject({ code: "E_TOKEN", next: expect.stringContaining("turned gw-stop away") });
    for (const words of [[], ["--wait"]]) {
      const ended = await enroll(machine, "gw-stop", ...words);
      expect(ended.code).toBe(77);
      expect(told(ended)).toMatchObject({ code: "E_NOT_AUTHORIZED", fact: expect.stringContaining("turned this") });
    }
  });

  test("that was told another owner than the directory names becomes nothing, whoever approves (T4)", async () => {
    const machine = system.newMachine();
    const pretended = `${name}=SHA256:${"A".repeat(43)}`;
    const password = await otp();
    await run(machine, "enroll", pretended, "laptop4", "--otp", password, "--directory", system.address);
    await must(owner, "approve", name, "--auto", "laptop4", "--role", "client");
    const exit = await run(machine, "enroll", pretended, "laptop4", "--otp", password);
    expect(told(exit)).toMatchObject({ code: "E_OWNER_KEY" });
    expect(exit.code).toBe(76);
    expect(() => machine.keyFile(name, "laptop4")).toThrow();
  });

  test("that is wrong leaves the machine as it was", async () => {
    const machine = system.newMachine();
    const before = machine.snapshot();
    const exit = await enroll(machine, "laptop5", "--otp", "0000-0000-0000-0000");
    expect(told(exit)).toMatchObject({ code: "E_TOKEN" });
    expect(exit.code).toBe(77);
    expect(machine.snapshot()).toEqual(before);
    expect(told(await enroll(machine, "laptop5", "--otp", "1234"))).toMatchObject({ code: "E_TOKEN" });
    expect(told(await enroll(machine, "laptop5"))).toMatchObject({ code: "E_USAGE" });
    expect(machine.snapshot()).toEqual(before);
  });

  test("a name that is taken is refused, and the password is still good", async () => {
    const password = await otp();
    const taken = await enroll(system.newMachine(), "laptop2", "--otp", password);
    expect(told(taken)).toMatchObject({ code: "E_MEMBER_TAKEN" });
    expect(taken.code).toBe(78);
    expect((await enroll(system.newMachine(), "laptop6", "--otp", password)).code).toBe(75);
    await must(owner, "delete", name, "laptop6");
    expect(await must(owner, "list", name)).not.toContain("laptop6");
  });
});

test("an owner's machine that watches approves devices that are called as it was told, and no more", async () => {
  const other = await newOwner();
  const watching = start(other.owner, "approve", other.name, "--auto", "gw-*", "--watch");
  await watching.errorLine(/^Approving devices gw-\*/);
  const passwords = [await otpOf(other), await otpOf(other), await otpOf(other)];
  const [gateway, laptop, client] = [system.newMachine(), system.newMachine(), system.newMachine()];
  const words = ["--directory", system.address, "--otp"];
  expect((await run(client, "enroll", other.name, "gw-x", ...words, passwords[2] ?? "")).code).toBe(75);
  await watching.errorLine(/^gw-x is left waiting, for it asks to become a client\.$/);
  const exit = run(gateway, "enroll", other.name, "gw-1", "-d", "--wait", ...words, passwords[0] ?? "");
  expect((await run(laptop, "enroll", other.name, "laptop", ...words, passwords[1] ?? "")).code).toBe(75);
  expect(await exit).toMatchObject({ code: 0 });
  expect(await watching.kill("SIGINT")).toMatchObject({
    code: 130,
    stderr: expect.stringContaining("gw-1 is a device"),
  });
  const waiting = await must(other.owner, "list", other.name);
  for (const member of ["laptop", "gw-x"]) expect(waiting).toMatch(new RegExp(`^${member} +client +\\S+ +0 min$`, "m"));
  await must(other.owner, "approve", other.name, "--auto", "gw-*", "--role", "client");
  expect((await run(client, "enroll", other.name, "gw-x")).code).toBe(0);
});

test("an owner's machine that watches goes on after the directory was away", async () => {
  const other = await newOwner();
  const watching = start(other.owner, "approve", other.name, "--auto", "gw-*", "--watch");
  await watching.errorLine(/^Approving/);
  await system.directory.kill("SIGKILL");
  await watching.errorLine(/It goes on when that has passed\.$/);
  await system.restart();
  const words = ["--directory", system.address, "--otp", await otpOf(other)];
  expect(await run(system.newMachine(), "enroll", other.name, "gw-1", "-d", "--wait", ...words)).toMatchObject({
    code: 0,
  });
  expect((await watching.kill("SIGTERM")).code).toBe(130);
});

test("--watch and --role are refused beside a member, which they would say nothing about", async () => {
  for (const words of [["--watch"], ["--role", "device"]]) {
    const exit = await run(owner, "approve", name, "gw-1", "--code", "0000-0000-0000-0000", ...words);
    expect(told(exit)).toMatchObject({ code: "E_USAGE" });
  }
});

test("an owner at a terminal is asked for the code that the new machine shows", async () => {
  const typed = { name, owner };
  const machine = system.newMachine();
  const asked = await enroll(machine, "laptop7", "--otp", await otp());
  const [, code = ""] = /\(code (\S+)\)/.exec(asked.stderr) ?? [];
  await using terminals = await Terminals.start();
  const window = await terminals.open("owner", { env: { HOME: owner.home } });
  const approve = `${process.execPath} ${MAIN} approve ${typed.name} laptop7`;
  await window.type(approve);
  await window.shows(/^Type the code that the new machine shows: /m);
  expect(await window.text()).not.toContain(code); // or that would be typed
  await window.press("C-d");
  expect(await window.prompt()).toMatch(/\[E_INTERRUPTED\]$/);
  await window.type(approve);
  await window.shows(/(?:^Type the code[^]*){2}/m);
  await window.type("0000-0000-0000-0000");
  expect(await window.prompt()).toMatch(/\[E_MEMBER_KEY\]$/);
  await window.type(approve);
  await window.shows(/(?:^Type the code[^]*){3}/m);
  await window.type(code);
  expect(await window.prompt()).toMatch(/laptop7 is a client of @\S+ now\.$/);
  expect((await enroll(machine, "laptop7")).code).toBe(0);
});

test("of 100 gateways at once, over a directory that is killed, a token lets in as many as it was given for", async () => {
  const other = await newOwner();
  const uses = ["--uses", "7", "--expires", "30d"];
  const token = await must(other.owner, "delegate", other.name, "--role", "device", "--pattern", "gw-*", ...uses);
  const gateways = Array.from({ length: 100 }, (_, i) => ({ machine: system.newMachine(), member: `gw-${i}` }));
  const secret = { kind: "token", secret: parseFleetToken(token) } as const;
  let decided = 0;
  let restarted: Promise<void> | undefined;
  const outcomes = await Promise.all(
    gateways.map(async ({ machine, member }) => {
      for (;;) {
        try {
          await enrolHere(other.name, member, machine, secret);
          return "in";
        } catch (error) {
          if (error instanceof UnavailableError) continue; // the directory is away, or about to be
          if (error instanceof DeniedError) return error.code;
          throw error;
        } finally {
          if (++decided === 4) restarted = system.restart();
        }
      }
    }),
  );
  await restarted;
  const made = gateways.filter((_, i) => outcomes[i] === "in").map(({ member }) => member);
  expect(made).toHaveLength(7);
  expect(new Set(outcomes)).toEqual(new Set(["in", "E_TOKEN"]));
  const shown = await must(other.owner, "list", other.name); // whose statements the log has proved
  expect(shown).toMatch(/ 7 of 7 +active /);
  for (const { machine, member } of gateways) {
    const isIn = made.includes(member);
    expect(shown.includes(`\n${member} `)).toBe(isIn);
    expect(existsSync(join(machine.keys, `${other.name}.${member}.npkeys`))).toBe(isIn);
  }
});

describe("a fleet token", () => {
  test("makes as many members as it was given for, with nobody there, from a file or from stdin", async () => {
    const token = await must(owner, "delegate", name, "--role", "device", "--pattern", "gw-*", "--uses", "2");
    expect(token).toMatch(/^[0-9a-f]{64}\n$/);
    const machines = [system.newMachine(), system.newMachine(), system.newMachine()] as const;
    writeFileSync(join(machines[0].home, "token"), token);
    expect(await enroll(machines[0], "gw-1", "-d", "--token", "token")).toMatchObject({ code: 0, stdout: "" });
    expect(machines[0].keyFile(name, "gw-1").statements).toHaveLength(3);
    const piped = start(machines[1], "enroll", name, "gw-2", "-d", "--token", "-", "--directory", system.address);
    piped.stdin.end(token);
    expect(await piped.exit()).toMatchObject({ code: 0 });
    writeFileSync(join(machines[2].home, "token"), token);
    const before = machines[2].snapshot();
    const over = await enroll(machines[2], "gw-3", "-d", "--token", "token");
    expect(told(over)).toMatchObject({ code: "E_TOKEN", next: expect.stringContaining("sshnp-keys delegate") });
    expect(over.code).toBe(77);
    expect(machines[2].snapshot()).toEqual(before);
    // The same machine again is no further use; another with its name is refused.
    expect(await enroll(machines[0], "gw-1", "-d", "--token", "token")).toMatchObject({ code: 0 });
    expect(told(await enroll(machines[2], "gw-1", "-d", "--token", "token"))).toMatchObject({ code: "E_MEMBER_TAKEN" });
    expect(await must(owner, "list", name)).toMatch(/^[0-9a-f]{16} +device +gw-\* +2 of 2 +active +\S+ \S+ UTC$/m);
  });

  test("that is given in place of its file is not repeated", async () => {
    const token = "e796".repeat(16);
    const exit = await enroll(system.newMachine(), "gw-1", "-d", "--token", token);
    expect(exit.code).toBe(2);
    expect(told(exit)).toMatchObject({ code: "E_USAGE", fact: expect.stringContaining("takes a file") });
    expect(exit.stderr).not.toContain(token);
  });

  test.each([
    ["go on when it is revoked", [], /^gw-a +device +active .* 2$/m],
    ["end with it when the revocation cascades", ["--cascade"], /^gw-a +device +orphaned .* 1$/m],
  ])("the members that it made %s", async (_, words, row) => {
    const other = await newOwner();
    const token = await must(
      other.owner,
      "delegate",
      other.name,
      "--role",
      "device",
      "--pattern",
      "gw-*",
      "--uses",
      "9",
    );
    const machine = system.newMachine();
    writeFileSync(join(machine.home, "token"), token);
    const by = ["-d", "--token", "token", "--directory", system.address];
    await must(machine, "enroll", other.name, "gw-a", ...by);
    const { delegations } = JSON.parse(await must(other.owner, "list", other.name, "--json")) as {
      delegations: { id: string; used: number }[];
    };
    expect(delegations).toMatchObject([{ used: 1, condition: "active" }]);
    await must(other.owner, "revoke", other.name, "--delegation", delegations[0]?.id ?? "", "--yes", ...words);
    const shown = await must(other.owner, "list", other.name);
    expect(shown).toMatch(row);
    expect(shown).toMatch(/ 1 of 9 +revoked /);
    await must(other.owner, "unrevoke", other.name, "gw-a", "--yes");
    expect(await must(other.owner, "list", other.name)).toMatch(/^gw-a +device +active /m);
    expect(
      told(await run(system.newMachine(), "enroll", other.name, "gw-b", ...by.with(2, join(machine.home, "token")))),
    ).toMatchObject({
      code: "E_TOKEN",
    });
  });
});

test("whoever holds a fleet token cannot keep the owner from listing, whatever end he gives a binding", async () => {
  const other = await newOwner();
  const token = await must(other.owner, "delegate", other.name, "--role", "device", "--pattern", "gw-*", "--uses", "9");
  const key = delegationKey(nativeSuite, parseFleetToken(token), parseName(other.name));
  const bind = async (member: string, expires: number) => {
    const { x25519, public: applicant } = newApplicant(parseName(other.name), member);
    const text = firstBinding(random, { ...applicant, issued: Date.now(), expires });
    const client = new DirectoryClient({ address: parseDirectoryAddress(system.address), suite: nativeSuite, random });
    await putStatements(client, x25519, [signWith(nativeSuite, key, text)], { signal: AbortSignal.timeout(60_000) });
  };
  await expect(bind("gw-1", Number.MAX_SAFE_INTEGER)).rejects.toMatchObject({ code: "E_PROTOCOL" });
  await expect(bind("gw-1", LAST_TIME_MS + 1)).rejects.toMatchObject({ code: "E_PROTOCOL" });
  await bind("gw-2", LAST_TIME_MS);
  expect(await must(other.owner, "list", other.name)).toMatch(
    /^gw-2 +device +active +\S+ \S+ UTC +9999-12-31 23:59 UTC +1$/m,
  );
  await must(other.owner, "list", other.name, "--json");
});

test("a member that is deleted is revoked, and shown with --all alone", async () => {
  const other = await newOwner();
  const machine = system.newMachine();
  await run(machine, "enroll", other.name, "old", "--otp", await otpOf(other), "--directory", system.address);
  await must(other.owner, "approve", other.name, "--auto", "old", "--role", "client");
  await must(machine, "enroll", other.name, "old");
  await must(other.owner, "revoke", other.name, "old", "--reason", "lost");
  expect(await must(other.owner, "list", other.name)).toMatch(/^old +client +revoked /m);
  await must(other.owner, "unrevoke", other.name, "old");
  expect(await must(other.owner, "list", other.name)).toMatch(/^old +client +active /m);
  await must(other.owner, "revoke", other.name, "old");
  await must(other.owner, "delete", other.name, "old");
  expect(await must(other.owner, "list", other.name)).not.toMatch(/^old /m);
  expect(await must(other.owner, "list", other.name, "--all")).toMatch(/^old +client +revoked /m);
  const refused = await run(machine, "list", other.name);
  expect(refused.code).toBe(77);
  expect(told(refused)).toMatchObject({ code: "E_NOT_AUTHORIZED", next: expect.stringContaining("revoked") });
});

async function newOwner(): Promise<{ readonly name: string; readonly owner: Machine }> {
  const { name: made, secret } = await system.newName();
  const machine = system.newMachine();
  await activateHere(system, machine, { name: made, secret });
  return { name: made, owner: machine };
}

const otp = (...words: string[]): Promise<string> => otpOf({ name, owner }, ...words);

async function otpOf(of: { readonly name: string; readonly owner: Machine }, ...words: string[]): Promise<string> {
  return (await must(of.owner, "otp", of.name, ...words)).trim();
}

/** An enrolment in this process, which is faster than one of its own. */
async function enrolHere(
  of: string,
  member: string,
  machine: Machine,
  secret: Parameters<typeof enrol>[1]["secret"],
): Promise<void> {
  const connect: Parameters<typeof enrol>[0]["connect"] = (address, log) =>
    new DirectoryClient({ address, suite: nativeSuite, random, log });
  await enrol(
    { suite: nativeSuite, random, connect },
    {
      ...{ name: parseName(of), owner: undefined, member: parseMember(member), role: "device", secret },
      ...{ directory: parseDirectoryAddress(system.address), path: machine.keys, isWaiting: false },
    },
    { onPending: () => {}, signal: AbortSignal.timeout(60_000) },
  );
}

function random(length: number): Uint8Array {
  return new Uint8Array(randomBytes(length));
}

function enroll(machine: Machine, member: string, ...words: string[]): Promise<Exit> {
  return run(machine, "enroll", name, member, ...words, "--directory", system.address);
}

function start({ home }: Machine, ...words: string[]): RunningProcess {
  return startCommand("sshnp-keys", words, { cwd: home, env: { HOME: home } });
}

function run(machine: Machine, ...words: string[]): Promise<Exit> {
  return start(machine, ...words).exit();
}

/** What it prints, when it succeeds. */
async function must(machine: Machine, ...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(machine, ...words);
  if (code !== 0) throw new Error(`sshnp-keys ${words.join(" ")}: ${stderr}`);
  return stdout;
}
