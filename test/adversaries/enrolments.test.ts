/** A directory that shows an owner who approves, by the command itself, enrolments that he should not let in. */
import { afterAll, afterEach, beforeAll, expect } from "vitest";
import { Enrolments } from "../../directory/accounts/enrolments.ts";
import { Ed25519PrivateKey } from "../../keys/ed25519.ts";
import { readOwnerFile } from "../../keys/end-key-files.ts";
import { type Name, parseMember, parseName } from "../../keys/names.ts";
import { PrivateFolder } from "../../keys/private-folder.ts";
import { enrolmentProof, type PendingEnrolment } from "../../protocol/enrolment.ts";
import { bindingSubject } from "../../protocol/statements.ts";
import { newApplicant, newPassword } from "../directory/applicant.ts";
import { random, suite } from "../directory/world.ts";
import type { Exit } from "../support/processes.ts";
import type { Machine } from "../support/stack.ts";
import { ForgingDirectory } from "./forging-directory.ts";
import { codeIn, type Outcome, runRows } from "./run.ts";

const HOUR = 3_600_000;

let forger: ForgingDirectory;
beforeAll(async () => {
  forger = await ForgingDirectory.start();
});
afterEach(() => forger.beHonest());
afterAll(() => forger?.[Symbol.asyncDispose]());

runRows(import.meta.filename, {
  "it makes up an enrolment, with a password of its own": async () => {
    const owner = await newOwner("@made-up");
    return await lets(owner, asked(owner, { by: Ed25519PrivateKey.generate(suite, random) }));
  },
  "it makes up an enrolment, with an owner's password and other keys than asked": async () => {
    const owner = await newOwner("@swapped");
    const { x25519, ed25519 } = newApplicant(owner.name, "gw-1").public;
    return await lets(owner, { ...asked(owner), x25519, ed25519 });
  },
  "it shows one who asked with a password of a former owner key, which a thief has": async () => {
    const owner = await newOwner("@rotated");
    await owner.machine.must("sshnp-keys", "rotate", owner.name, "--yes");
    return await lets(owner, asked(owner));
  },
  "it shows one who asked with a password that ended long ago": async () => {
    const owner = await newOwner("@late");
    return await lets(owner, asked(owner, { issued: Date.now() - 60 * HOUR }));
  },
  "it shows a second machine with a password that was used in an earlier run": async () => {
    const owner = await newOwner("@twice");
    const key = Ed25519PrivateKey.generate(suite, random);
    const first = asked(owner, { key });
    expect(await approve(owner, first)).toMatchObject({ code: 0 });
    expect(await isBound(first)).toBe(true);
    return await lets(owner, { ...asked(owner, { key, member: "gw-2", password: first.password }) });
  },
  "it shows a machine again that its owner has sent away": async () => {
    const owner = await newOwner("@denied");
    const pending = asked(owner);
    show(pending);
    await owner.machine.must("sshnp-keys", "deny", owner.name, pending.member);
    return await lets(owner, pending);
  },
  "it shows keys for a member that its owner has revoked": async () => {
    const owner = await newOwner("@gone");
    await owner.machine.must("sshnp-keys", "revoke", owner.name, "box");
    const before = await forger.world.store.member({ name: owner.name, member: parseMember("box") });
    const outcome = await lets(owner, asked(owner, { member: "box" }), "*", { isBound: true });
    expect(await forger.world.store.member({ name: owner.name, member: parseMember("box") })).toEqual(before);
    return outcome;
  },
  "it shows by its name a machine whose password was used by another one": async () => {
    const owner = await newOwner("@by-name");
    const key = Ed25519PrivateKey.generate(suite, random);
    const first = asked(owner, { key });
    expect(await approve(owner, first)).toMatchObject({ code: 0 });
    const second = asked(owner, { key, member: "gw-2", password: first.password });
    show(second);
    const { stdout } = await owner.machine.run("sshnp-keys", "list", owner.name, "--json");
    const { pending } = JSON.parse(stdout) as { pending: { code: string }[] };
    const exit = await owner.machine.run("sshnp-keys", "approve", owner.name, "gw-2", "--code", pending[0]?.code ?? "");
    expect(await isBound(second)).toBe(false);
    return { code: codeIn(exit.stderr) };
  },
});

interface Owner {
  readonly name: Name;
  readonly machine: Machine;
  /** The owner key as it was at the activation. */
  readonly key: Ed25519PrivateKey;
}

async function newOwner(text: string): Promise<Owner> {
  const machine = forger.machine();
  await forger.activate(machine, text, "-d", "box");
  const name = parseName(text);
  const folder = await PrivateFolder.open(machine.keys);
  const owner = folder && (await readOwnerFile(suite, folder, name, () => Promise.reject(new Error("a passphrase"))));
  if (owner === undefined) throw new Error("there is no owner key");
  return { name, machine, key: owner.privateKey };
}

/** A machine that holds its keys and a password's key, and has asked in all form. */
function asked(
  { name, key: owner }: Owner,
  {
    by = owner,
    member = "gw-1",
    issued = Date.now(),
    key = Ed25519PrivateKey.generate(suite, random),
    password = newPassword({ name, owner: by }, { issued }, key).signed,
  } = {},
): PendingEnrolment {
  const { public: applicant, ed25519 } = newApplicant(name, member);
  const nonce = random(16);
  const directoryFingerprint = forger.world.directory.keyring.fingerprint;
  const proof = enrolmentProof({ nonce, directoryFingerprint }, applicant);
  return {
    ...applicant,
    ...{ password, nonce, requested: issued },
    passwordSignature: suite.sign(key, proof),
    ownSignature: suite.sign(ed25519, proof),
  };
}

/** The directory says that it waits, and takes what is signed for it. */
function show(pending: PendingEnrolment): void {
  forger.forge(Enrolments.prototype, "pending", () => Promise.resolve([pending]));
  forger.forge(forger.world.store, "enrolment", () => Promise.resolve({ ...pending, requested: Date.now() }));
}

async function approve({ name, machine }: Owner, pending: PendingEnrolment, pattern = "gw-*"): Promise<Exit> {
  show(pending);
  const exit = await machine.run("sshnp-keys", "approve", name, "--auto", pattern);
  forger.beHonest();
  return exit;
}

/** What the owner's command says to it, and that nothing was signed, unless that member was bound before. */
async function lets(
  owner: Owner,
  pending: PendingEnrolment,
  pattern?: string,
  { isBound: wasBound = false } = {},
): Promise<Outcome> {
  const { stderr } = await approve(owner, pending, pattern);
  expect(stderr).not.toMatch(/is a (?:client|device) of/);
  expect(await isBound(pending), bindingSubject(pending)).toBe(wasBound);
  return { code: codeIn(stderr) };
}

async function isBound(pending: PendingEnrolment): Promise<boolean> {
  return (await forger.world.store.member(pending)) !== undefined;
}
